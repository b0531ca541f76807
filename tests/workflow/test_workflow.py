"""The whole workflow on a slice of the real data, with real Snakemake, and what a change reruns."""

import json
import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import load_file

import recompute
from configs import DEFAULT
from repository import REPOSITORY
from workflow_runs import jobs, snakemake, snakemake_command, succeed

RECIPES = ["untrained", "cl", "cl-kd"]
# What comes after any run.
EVALUATION = dict.fromkeys(["evaluate", "compare", "tabulate"], 1) | {"view_queries": 2}
SUPPORT = REPOSITORY / "tests" / "support"
# Stages that the slice lacks, in its folder.
TOUR = [SUPPORT / "slice.yaml", REPOSITORY / "configs" / "recipes-tour.yaml", SUPPORT / "objectives.yaml"]
MODELS = ["tiny/kd_mean", "tiny/cl-hard", "tiny/soft", "tiny_lora/joint"]
FUSED = "results/slice/fused/tiny/cl/seed42/bm25/wikipedia-test.run"
CARD = [f"results/slice/models/tiny/cl-kd/seed42/{name}" for name in ("README.md", "README.html", "training.svg")]


def test_the_slice_ends_in_a_table_and_a_plot(finished):
    results = finished / "results" / "slice"
    table = pd.read_csv(results / "tables" / "effectiveness.csv", keep_default_na=False)
    systems = set(zip(table["retriever"], table["recipe"], strict=True))
    reranked = {(retriever, recipe) for retriever in ("bm25", "colbert") for recipe in RECIPES}
    assert systems == reranked | {("bm25", "first-stage"), ("colbert", "first-stage"), ("bm25", "teacher")}
    assert table["mean"].between(0, 1).all() and (table["queries"] == 50).all()
    assert table.groupby("measure")["mean"].nunique().min() > 3
    assert "| bm25 | tiny cl→kd |" in (results / "tables" / "effectiveness.md").read_text()
    assert (results / "plots" / "effectiveness.svg").stat().st_size > 10_000


def test_every_statistic_comes_out_of_an_independent_computation(finished):
    settings = recompute.DEFAULT | yaml.safe_load(TOUR[0].read_text())["evaluation"]
    gap, count = recompute.recompute_experiment(finished / "results" / "slice", settings)
    assert gap < 1e-6 and count > 500


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(
            {
                "grid": {"benchmarks": ["wikipedia-test", "second"]},
                "querysets": {
                    "second": {"collection": "wikipedia", "draw": {"seed": 42, "from": 50, "to": 70}, "relevance": 1}
                },
            },
            {
                **dict.fromkeys(["prepare_queries", "check_leaks", "tokenize", "teacher_rank"], 1),
                **dict.fromkeys(["bm25_search", "plaid_search", "merge_shards"], 1),
                "rerank": 3,
                **EVALUATION,
            },
            id="another benchmark retrains nothing",
        ),
        pytest.param(
            {"grid": {"recipes": ["cl", "cl-kd", "cl-kd-cl"], "depth": 10}},
            {"finetune": 1, "model_card": 1, "rerank": 4, **EVALUATION},
            id="a longer recipe adds one stage, another depth re-ranks only",
        ),
        pytest.param(
            {
                "objectives": {"kd": {"weight_decay": 0.1}},
                "backbones": {"small": DEFAULT["backbones"]["tiny"]},
                "grid": {"backbones": ["tiny", "small"]},
            },
            {"initialise": 1, "untrained_card": 1, "finetune": 1 + 2, "model_card": 1 + 2, "rerank": 1 + 3, **EVALUATION},
            id="another weight decay retrains what it trained, another backbone shares the token stores",
        ),
        pytest.param(
            {
                "device": "cuda",
                "training": {"processes": 2, "checkpoint_minutes": 1, "tensorboard": True},
                "backbones": {"tiny": {"tokens_per_batch": 1024, "tokens_kept": 2048}},
            },
            {},
            id="another device, memory or number of processes reruns nothing",
        ),
    ],
)
def test_a_change_reruns_what_it_affects(finished, tmp_path, changes, expected):
    (tmp_path / "changes.yaml").write_text(yaml.safe_dump(changes))
    assert jobs(snakemake(finished, "--dry-run", configs=[TOUR[0], tmp_path / "changes.yaml"])) == expected


@pytest.fixture(scope="module")
def tour(finished, tmp_path_factory):
    """The slice with stages of other kinds, a fused run and a card; the Snakemake that makes them is killed once."""
    folder = shutil.copytree(finished, tmp_path_factory.mktemp("tour") / "copy", symlinks=True)
    targets = [*(f"results/slice/models/{model}/seed42/training.json" for model in MODELS), FUSED, CARD[0]]
    for name in CARD:
        (folder / name).unlink()
    command = [*snakemake_command(folder, *targets), "--configfile", *map(str, TOUR)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    state = folder / "results/slice/state/tiny/soft/seed42"
    deadline = time.monotonic() + 300
    while not any(int(path.name[5:13]) >= 4 for path in state.rglob("step-*.pt")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert snakemake(folder, "--unlock", configs=TOUR).returncode == 0
    succeed(snakemake(folder, *targets, configs=TOUR))
    return folder


def test_a_stage_that_was_killed_goes_on(tour):
    """Also after Snakemake itself was killed, and has deleted the stage's declared outputs."""
    record = json.loads((tour / "results/slice/models/tiny/soft/seed42/training.json").read_text())
    assert record["interruptions"] == 1 and record["loss"][-1]["step"] == 40
    assert "resuming from the checkpoint of step" in (tour / "results/slice/logs/finetune/tiny/soft/seed42.log").read_text()
    assert not (tour / "results/slice/state/tiny/soft/seed42").exists()
    assert len(list((tour / "results/slice/tensorboard/tiny/soft/seed42").iterdir())) == 2


def test_validation_queries_choose_the_weight_that_fuses_the_test_queries(finished, tour):
    chosen = json.loads((tour / FUSED).with_name("weight.json").read_text())
    assert chosen["queries"] == 20 and chosen["measure"] == "RR@10"
    assert chosen["inputs"]["reranked"].endswith("cl/seed42/bm25/wikipedia-validation.run")
    pairs = [
        sorted(line.split()[:3] for line in path.read_text().splitlines())
        for path in (tour / FUSED, finished / FUSED.replace("fused", "reranked"))
    ]
    assert pairs[0] == pairs[1]


def test_a_card_made_again_has_the_same_bytes_and_no_model_is_trained_again(finished, tour):
    assert [name for name in CARD if (tour / name).read_bytes() != (finished / name).read_bytes()] == []
    for recipe in ("cl", "cl-kd"):
        model = f"results/slice/models/tiny/{recipe}/seed42/model.safetensors"
        assert (tour / model).stat().st_mtime == (finished / model).stat().st_mtime


@pytest.mark.parametrize("model", MODELS)
def test_every_kind_of_objective_trains(tour, model):
    """Mixtures, a recipe and a mean as teachers, refreshed negatives, LoRA, and losses that the default experiment lacks."""
    folder = tour / "results/slice/models" / model / "seed42"
    weights, before = (load_file(each / "model.safetensors") for each in (folder, folder.parents[1] / "untrained/seed42"))
    assert weights.keys() == before.keys() and all(np.isfinite(tensor).all() for tensor in weights.values())
    changed = [name for name, tensor in weights.items() if (tensor != before[name]).any()]
    assert len(changed) == 8 if "lora" in model else len(changed) > 30


def test_refreshed_negatives_are_among_the_first_ten_that_the_model_ranks(tour):
    groups = load_file(tour / "results/slice/training/seed42/hard.groups.safetensors")
    collection = tour / "results" / "collections" / "wikipedia"
    passages, queries = (
        pd.read_parquet(collection / f"{name}.parquet")["id"] for name in ("passages", "wikipedia-train.queries")
    )
    run = tour / "results/slice/candidates/tiny/cl/seed42/bm25/depth20/wikipedia-train.run"
    ranked = pd.read_csv(run, sep=" ", header=None, dtype=str)
    first = ranked.groupby(0).head(10).groupby(0)[2].agg(set)
    for row, query in enumerate(queries[groups["queries"]]):
        negatives = groups["passages"][row][(groups["passages"][row] >= 0) & (groups["grades"][row] <= 0)]
        assert set(passages[negatives]) <= first[query]
