"""What effectiveness costs: sums over stages, the Pareto front, and curves by re-ranking depth against a plain computation."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pytest
from test_evaluation import measured, random_judgements

from multistage.data.runs import cut, in_run_order, read_run, write_run
from multistage.evaluation.depth import depth_curves
from multistage.evaluation.fusion import read_both
from multistage.evaluation.measures import System
from multistage.jobs.errors import InputError
from multistage.reporting.costs import cost_table, on_front, reranking_costs, training_costs, write_costs
from multistage.reporting.tables import read_table


@pytest.fixture
def costs(tmp_path):
    """A table of costs of two recipes with two seeds; a stage's seconds are told from the others'."""
    stages = [("tiny", recipe, seed) for recipe in ("cl", "cl-kd") for seed in ("1", "2")]
    records = []
    for place in range(len(stages)):
        records.append(str(tmp_path / f"{place}.json"))
        record = {"run": {"device": "cuda", "processes": 2}, "seconds": 10.0 * (place + 1), "pairs": 100}
        (tmp_path / f"{place}.json").write_text(json.dumps(record))
    systems = [("", "first-stage", 0.5), ("minilm", "teacher", 0.9), ("tiny", "untrained", 0.1), ("tiny", "cl", 0.6)]
    means = pd.DataFrame(
        [*systems, ("tiny", "cl-kd", 0.55), ("tiny", "cl+fused", 0.8)],
        columns=["backbone", "recipe", "mean"],
    ).assign(benchmark="test", retriever="bm25", measure="nDCG@10", queries=40, low=0.0, high=1.0)
    (tmp_path / "bench.tsv").write_text("s\n3\n5\n")
    timed = [("tiny", recipe, seed, "test") for recipe in ("untrained", "cl", "cl-kd") for seed in ("1", "2")]
    reranking = reranking_costs(timed, [str(tmp_path / "bench.tsv")] * len(timed))
    return cost_table(means, training_costs(stages, records), reranking, "nDCG@10")


def test_a_model_costs_what_all_its_stages_cost(costs, tmp_path):
    by_recipe = costs.set_index("recipe")
    assert by_recipe["training_seconds"].to_dict() == {"first-stage": 0, "untrained": 0, "cl": 30, "cl-kd": 100}
    assert by_recipe["training_pairs"].to_dict() == {"first-stage": 0, "untrained": 0, "cl": 200, "cl-kd": 400}
    assert by_recipe["rerank_ms"].to_dict() == {"first-stage": 0, "untrained": 100, "cl": 100, "cl-kd": 100}
    assert by_recipe["front"].to_dict() == {"first-stage": True, "untrained": False, "cl": True, "cl-kd": False}
    files = [tmp_path / f"costs.{suffix}" for suffix in ("csv", "md", "html")]
    write_costs(costs, *files)
    assert "| bm25 | tiny cl→kd | 0.550 | 100 GPU-s | 400 | 100.0 ms |  |" in files[1].read_text()
    pd.testing.assert_frame_equal(read_table(files[0]), costs, check_dtype=False)


def test_of_folds_a_query_costs_what_its_own_job_took(tmp_path):
    """Two folds of 20 queries each took 4 seconds each: 8 seconds for 40 queries."""
    (tmp_path / "bench.tsv").write_text("s\n4\n")
    reranking = reranking_costs([("tiny", "cl", f"1/fold{n}", "test") for n in (1, 2)], [str(tmp_path / "bench.tsv")] * 2)
    means = pd.DataFrame([("test", "bm25", "tiny", "cl", "nDCG@10", 40, 0.5, 0.4, 0.6)]).set_axis(
        ["benchmark", "retriever", "backbone", "recipe", "measure", "queries", "mean", "low", "high"], axis=1
    )
    for found, expected in ((reranking, 200), (reranking_costs([], []), 0)):
        assert cost_table(means, training_costs([], []), found, "nDCG@10")["rerank_ms"].tolist() == [expected]


def test_the_front_is_what_nothing_beats():
    generator = np.random.default_rng(0)
    cost, value = pd.Series(generator.integers(0, 6, 40)), pd.Series(generator.integers(0, 6, 40))
    points = list(zip(cost, value, strict=True))
    beaten = [any((c <= a and v >= b) and (c, v) != (a, b) for c, v in points) for a, b in points]
    assert on_front(cost, value).tolist() == [not each for each in beaten]


def test_depth_curves_are_those_of_cut_and_appended_runs(tmp_path):
    qrels, first = random_judgements(1)
    first = cut(in_run_order(first), 25)
    scores = np.random.default_rng(2).random(len(first))
    write_run(tmp_path / "first.run", first, tag="t")
    write_run(tmp_path / "again.run", first.with_columns(score=pl.Series(scores)), tag="t")
    qrels.write_parquet(tmp_path / "qrels.parquet")
    depth_curves(
        [System("bm25", "", "first-stage", ""), System("bm25", "a", "teacher", ""), System("bm25", "tiny", "cl", "42")],
        [str(tmp_path / f"{name}.run") for name in ("first", "absent", "again")],
        qrels=str(tmp_path / "qrels.parquet"),
        measure="nDCG@10",
        relevance=1,
        candidates=25,
        depths=[3, 12, 25],
        output=tmp_path / "curves.csv",
    )
    curve = pd.read_csv(tmp_path / "curves.csv", dtype={"seed": str}).set_index("depth")["value"]
    again = read_run(tmp_path / "again.run")
    ranked = read_run(tmp_path / "first.run").join(again, on=["query", "passage"], suffix="_again", maintain_order="left")
    place = pl.int_range(pl.len()).over("query")
    for depth in (0, 3, 12, 25):
        mixed = pl.when(place < depth).then(10 + pl.col("score_again")).otherwise(-place)
        write_run(tmp_path / "mixed.run", ranked.select("query", "passage", score=mixed), tag="t")
        assert curve[depth] == pytest.approx(
            measured(tmp_path / "mixed.run", qrels, ["nDCG@10"], 1)["nDCG@10"].mean(), abs=1e-6
        )
    assert curve.nunique() == 4


def test_a_run_of_other_passages_is_no_re_ranking(tmp_path):
    _, first = random_judgements(1)
    write_run(tmp_path / "first.run", first, tag="t")
    swapped = first.with_columns(passage=pl.Series(np.roll(first["passage"].to_numpy(), 30)))
    write_run(tmp_path / "again.run", swapped.unique(["query", "passage"]), tag="t")
    with pytest.raises(InputError, match=r"again\.run has \d+ passages, the first 30 of each query in .*first\.run are"):
        read_both(tmp_path / "again.run", tmp_path / "first.run", 30)
