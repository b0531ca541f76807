"""The whole workflow on a slice of the real data, with real Snakemake, and what a change reruns."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import load_file

import recompute
from repository import REPOSITORY
from workflow_runs import jobs, snakemake, snakemake_command, succeed

RECIPES = ["untrained", "cl", "kd", "cl-kd", "kd-cl"]
# What comes after any run.
EVALUATION = {
    **dict.fromkeys(["evaluate", "depth_curves", "compare", "tabulate", "plot"], 1),
    "view_queries": 2,
}
RUN = "results/{experiment}/reranked/tiny/{recipe}/seed42/{retriever}/wikipedia-test.run"


def test_the_slice_ends_in_a_table_and_a_plot(finished):
    results = finished / "results" / "slice"
    table = pd.read_csv(results / "tables" / "effectiveness.csv", keep_default_na=False)
    systems = set(zip(table["retriever"], table["recipe"], strict=True))
    reranked = {(retriever, recipe) for retriever in ("bm25", "colbert") for recipe in RECIPES}
    assert systems == reranked | {("bm25", "first-stage"), ("colbert", "first-stage"), ("bm25", "teacher")}
    assert table["mean"].between(0, 1).all() and (table["queries"] == 50).all()
    assert table.groupby("measure")["mean"].nunique().min() > 5
    assert "| bm25 | tiny kd→cl |" in (results / "tables" / "effectiveness.md").read_text()
    assert (results / "plots" / "effectiveness.svg").stat().st_size > 10_000


def test_every_statistic_comes_out_of_an_independent_computation(finished):
    settings = recompute.DEFAULT | yaml.safe_load((REPOSITORY / "tests" / "support" / "slice.yaml").read_text())["evaluation"]
    gap, count = recompute.recompute_experiment(finished / "results" / "slice", settings)
    assert gap < 1e-6 and count > 880


def test_one_command_gives_the_workflows_runs_without_it(finished, tmp_path):
    """Both first stages together, from the workflow's tables, on one thread as its jobs run: the same bytes."""
    results = finished / "results"
    retrievers = ["bm25", "colbert"]
    command = [sys.executable, "-m", "multistage", "rerank", "--depth", "20", "--run"]
    command += [results / "runs" / name / "wikipedia-test.run" for name in retrievers]
    command += ["--model", results / "slice" / "models" / "tiny" / "kd-cl" / "seed42"]
    command += ["--queries", results / "collections" / "wikipedia" / "wikipedia-test.queries.parquet"]
    command += ["--passages", results / "collections" / "wikipedia" / "passages.parquet"]
    command += ["--output", *(tmp_path / name for name in retrievers)]
    ended = subprocess.run(
        list(map(str, command)), env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, cwd=tmp_path
    )
    assert ended.returncode == 0, ended.stderr
    for name in retrievers:
        run = finished / RUN.format(experiment="slice", recipe="kd-cl", retriever=name)
        assert (tmp_path / name).read_bytes() == run.read_bytes()


def test_a_second_run_has_nothing_to_do(finished):
    ended = snakemake(finished, "--dry-run")
    assert ended.returncode == 0 and "Nothing to be done" in ended.stdout + ended.stderr


def overlay(tmp_path, change):
    """The slice's config with a change, as a file."""
    config = yaml.safe_load((REPOSITORY / "tests" / "support" / "slice.yaml").read_text())
    default = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    config.setdefault("grid", {})
    change(config, default)
    path = tmp_path / "changed.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(
            lambda config, default: (
                config["querysets"].update(second=default["querysets"]["wikipedia-validation"])
                or config["grid"].update(benchmarks=["wikipedia-test", "second"])
            ),
            {
                "prepare_queries": 1,
                "check_leaks": 1,
                "tokenize": 1,
                "bm25_search": 1,
                "plaid_search": 1,
                "merge_shards": 1,
                "teacher_rank": 1,
                "rerank": 5,
                **EVALUATION,
            },
            id="another benchmark retrains nothing",
        ),
        pytest.param(
            lambda config, _: config["grid"].update(recipes=["cl", "kd", "cl-kd", "kd-cl", "cl-kd-cl"]),
            {"finetune": 1, "model_card": 1, "rerank": 1, **EVALUATION},
            id="a longer recipe adds one stage",
        ),
        pytest.param(
            lambda config, _: config["objectives"]["kd"].update(weight_decay=0.1),
            {"finetune": 3, "model_card": 3, "rerank": 3, **EVALUATION},
            id="another weight decay retrains what it trained",
        ),
        pytest.param(
            lambda config, default: (
                config.update(backbones={"small": default["backbones"]["tiny"]})
                or config["grid"].update(backbones=["tiny", "small"])
            ),
            {"initialise": 1, "untrained_card": 1, "finetune": 4, "model_card": 4, "rerank": 5, **EVALUATION},
            id="another backbone shares the token stores",
        ),
        pytest.param(
            lambda config, _: config["grid"].update(depth=10),
            {"rerank": 5, **EVALUATION},
            id="another depth re-ranks only",
        ),
        pytest.param(
            lambda config, _: config["objectives"]["kd"].update(positions={"2": {"learning_rate": 1e-4}}),
            {"finetune": 1, "model_card": 1, "rerank": 1, **EVALUATION},
            id="another learning rate in second place retrains the second stage",
        ),
        pytest.param(
            lambda config, _: config["grid"].update(fusion={"norm": "min-max", "measure": "nDCG@10"}),
            {
                "plaid_search": 1,
                "merge_shards": 1,
                "rerank": 5,
                "choose_fusion_weight": 10,
                "fuse": 10,
                **{name: count for name, count in EVALUATION.items() if "depth" not in name},
            },
            id="fusion re-ranks the validation queries and retrains nothing",
        ),
        pytest.param(
            lambda config, _: config.update(
                device="cuda",
                training={"processes": 2, "checkpoint_minutes": 1, "tensorboard": True},
                backbones={"tiny": {"tokens_per_batch": 1024, "tokens_kept": 2048}},
            ),
            {},
            id="another device, memory or number of processes reruns nothing",
        ),
    ],
)
def test_a_change_reruns_what_it_affects(finished, tmp_path, change, expected):
    assert jobs(snakemake(finished, "--dry-run", configs=[overlay(tmp_path, change)])) == expected


def test_a_stage_that_was_killed_goes_on(copy, tmp_path):
    """Also after Snakemake itself was killed, and has deleted the stage's declared outputs."""

    def long_stage(config, _):
        config["objectives"]["cl"].update(steps=40)
        config["training"] = {"checkpoint_minutes": 0, "tensorboard": True}

    config = overlay(tmp_path, long_stage)
    model = "results/slice/models/tiny/cl/seed42/model.safetensors"
    command = [*snakemake_command(copy, model), "--configfile", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    state = copy / "results" / "slice" / "state" / "tiny" / "cl" / "seed42"
    deadline = time.monotonic() + 300
    while not any(int(path.name[5:13]) >= 4 for path in state.rglob("step-*.pt")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert snakemake(copy, "--unlock", configs=[config]).returncode == 0
    ended = snakemake(copy, model, configs=[config])
    succeed(ended)
    record = json.loads((copy / model).with_name("training.json").read_text())
    assert record["interruptions"] == 1 and record["loss"][-1]["step"] == 40
    assert "resuming from the checkpoint of step" in (copy / "results/slice/logs/finetune/tiny/cl/seed42.log").read_text()
    assert not state.exists()
    assert len(list((copy / "results/slice/tensorboard/tiny/cl/seed42").iterdir())) == 2


def test_validation_queries_choose_the_weight_that_fuses_the_test_queries(copy, tmp_path):
    def fuse(config, _):
        config["grid"].update(fusion={"norm": "min-max", "measure": "RR@10"}, retrievers=["bm25"])

    fused = "results/slice/fused/tiny/cl/seed42/bm25/wikipedia-test.run"
    succeed(snakemake(copy, fused, configs=[overlay(tmp_path, fuse)]))
    chosen = json.loads((copy / fused).with_name("weight.json").read_text())
    assert chosen["queries"] == 20 and chosen["measure"] == "RR@10"
    assert chosen["inputs"]["reranked"].endswith("cl/seed42/bm25/wikipedia-validation.run")
    tried = {entry["weight_of_reranker"]: entry["mean"] for entry in chosen["tried"]}
    assert len(tried) == 21 and tried[chosen["weight_of_reranker"]] == max(tried.values())
    reranked = RUN.format(experiment="slice", recipe="cl", retriever="bm25")
    pairs = [sorted(line.split()[:3] for line in (copy / path).read_text().splitlines()) for path in (fused, reranked)]
    assert pairs[0] == pairs[1]


def test_groups_have_the_teachers_scores(finished):
    groups = load_file(finished / "results/slice/training/kd.groups.safetensors")
    scores = pd.read_csv(finished / "results/teachers/minilm/wikipedia-train.run", sep=" ", header=None)[4]
    ranked = groups["ranks"] > 0
    assert sorted(groups["scores"][ranked]) == pytest.approx(sorted(scores), abs=1e-6)
    assert (np.diff(groups["scores"], axis=1)[ranked[:, 1:]] <= 0).all()


def test_every_kind_of_objective_trains(copy):
    """Mixtures, a recipe and a mean as teachers, refreshed negatives, LoRA, and losses that the default experiment lacks."""
    support = REPOSITORY / "tests" / "support"
    configs = [support / "slice.yaml", REPOSITORY / "configs" / "recipes-tour.yaml", support / "objectives.yaml"]
    tour = copy / "results" / "tour"
    models = [f"tiny/{recipe}" for recipe in ("joint", "kd_mean", "cl-hard", "bce", "soft")] + ["tiny_lora/joint"]
    succeed(snakemake(copy, *(f"results/tour/models/{model}/seed42/training.json" for model in models), configs=configs))
    for model in models:
        untrained = tour / "models" / model.split("/")[0] / "untrained" / "seed42"
        changed = changed_tensors(tour / "models" / model / "seed42", untrained)
        if model == "tiny_lora/joint":  # Merged, it has changed the modules it adapts, and the head with the pooler.
            parts = {name.removeprefix("bert.").rsplit(".", 1)[0] for name in changed}
            adapted = {f"encoder.layer.{layer}.attention.self.{module}" for layer in (0, 1) for module in ("query", "value")}
            assert parts == adapted | {"pooler.dense", "classifier"}
        else:
            assert len(changed) > 30

    # Refreshed negatives are among the first ten that cl ranks.
    groups = load_file(tour / "training" / "seed42" / "hard.groups.safetensors")
    collection = copy / "results" / "collections" / "wikipedia"
    passages, queries = (
        pd.read_parquet(collection / f"{name}.parquet")["id"] for name in ("passages", "wikipedia-train.queries")
    )
    ranked = pd.read_csv(tour / "candidates/tiny/cl/seed42/bm25/depth20/wikipedia-train.run", sep=" ", header=None, dtype=str)
    first = ranked.groupby(0).head(10).groupby(0)[2].agg(set)
    for row, query in enumerate(queries[groups["queries"]]):
        negatives = groups["passages"][row][(groups["passages"][row] >= 0) & (groups["grades"][row] <= 0)]
        assert set(passages[negatives]) <= first[query]


def changed_tensors(model, other):
    """The names of a model's tensors that are not another's."""
    weights, before = (load_file(folder / "model.safetensors") for folder in (model, other))
    assert weights.keys() == before.keys() and all(np.isfinite(tensor).all() for tensor in weights.values())
    return {name for name, tensor in weights.items() if (tensor != before[name]).any()}


def test_one_file_builds_only_what_it_needs(tmp_path):
    target = RUN.format(experiment="wikipedia", recipe="cl-kd", retriever="colbert")
    planned = jobs(snakemake(tmp_path, "--dry-run", target, configs=()))
    assert planned["finetune"] == 2 and planned["rerank"] == 1
    assert not {"evaluate", "tabulate", "plot"} & planned.keys()
    planned = jobs(snakemake(tmp_path, "--dry-run", "results/runs/bm25/wikipedia-test.run", configs=()))
    assert planned == {"fetch_package": 1, "prepare_passages": 1, "prepare_queries": 1, "bm25_index": 1, "bm25_search": 1}
