"""Fusion against its formula and trec_eval: the scores, the order, and the weight that is chosen."""

import json

import numpy as np
import polars as pl
import pytest
import pytrec_eval
from test_evaluation import nested

from multistage.data.runs import RUN, in_run_order, read_run, write_run
from multistage.evaluation.fusion import WEIGHTS, choose_weight, fuse_files, fused, read_both, read_weights
from multistage.evaluation.measures import System

DEPTH = 12
NORMS = {
    "min-max": lambda scores: (scores - scores.min()) / (scores.max() - scores.min()),
    "zmuv": lambda scores: (scores - scores.mean()) / scores.std(ddof=0),
}


@pytest.fixture
def files(tmp_path):
    """Forty queries of which both sides know something: the first stage 20 passages deep, the re-ranker over the first 12."""
    generator = np.random.default_rng(5)
    rows, judgements = [], []
    for query in range(40):
        relevance = generator.integers(0, 3, size=20) * (generator.random(20) < 0.3)
        first = relevance + generator.normal(0, 1.3, size=20)
        second = 3 * (relevance + generator.normal(0, 1.0, size=20)) - 7
        for passage in range(20):
            rows.append((f"q{query}", f"p{passage}", first[passage], second[passage]))
            judgements.append((f"q{query}", f"p{passage}", int(relevance[passage])))
    table = pl.DataFrame(rows, ["query", "passage", "first", "second"], orient="row")
    write_run(tmp_path / "first.run", table.select("query", "passage", score="first"), tag="first")
    kept = read_run(tmp_path / "first.run", DEPTH).join(table, on=["query", "passage"])
    write_run(tmp_path / "reranked.run", kept.select("query", "passage", score="second"), tag="second")
    pl.DataFrame(judgements, ["query", "passage", "grade"], orient="row").write_parquet(tmp_path / "qrels.parquet")
    return {
        name: tmp_path / f"{name}.{suffix}" for name, suffix in (("reranked", "run"), ("first", "run"), ("qrels", "parquet"))
    }


def by_hand(files, weight, norm):
    """The fused run by numpy."""
    both = read_run(files["reranked"]).join(read_run(files["first"], DEPTH), on=["query", "passage"])
    sides = [NORMS[norm](pl.col(name).cast(pl.Float64)).over("query") for name in ("score", "score_right")]
    return in_run_order(both.select("query", "passage", score=weight * sides[0] + (1 - weight) * sides[1]))


@pytest.mark.parametrize(("norm", "measure", "theirs"), [("min-max", "nDCG@10", "ndcg_cut_10"), ("zmuv", "AP", "map")])
def test_the_weight_is_the_best_of_those_tried(files, tmp_path, norm, measure, theirs):
    options = {"depth": DEPTH, "norm": norm, "measure": measure, "relevance": 2}
    choose_weight(files["reranked"], files["first"], files["qrels"], **options, output=tmp_path / "weight.json")
    chosen = json.loads((tmp_path / "weight.json").read_text())
    evaluator = pytrec_eval.RelevanceEvaluator(nested(pl.read_parquet(files["qrels"])), {theirs}, relevance_level=2)
    means = []
    for weight in WEIGHTS:
        scored = nested(by_hand(files, weight, norm))
        means.append(np.mean([values[theirs] for values in evaluator.evaluate(scored).values()]))
    assert [entry["weight_of_reranker"] for entry in chosen["tried"]] == WEIGHTS == sorted(WEIGHTS)
    assert [entry["mean"] for entry in chosen["tried"]] == pytest.approx(means, abs=1e-9)
    best = WEIGHTS[int(np.argmax(means))]
    assert 0 < best < 1, "the case needs two sides that help each other"
    assert chosen["weight_of_reranker"] == best and chosen["weight_of_first_stage"] == pytest.approx(1 - best)
    assert (chosen["norm"], chosen["measure"], chosen["queries"]) == (norm, measure, 40)
    weights = read_weights([System("bm25", "tiny", "cl+fused", seed) for seed in "12"], [str(tmp_path / "weight.json")] * 2)
    assert weights.to_numpy().tolist() == [["bm25", "tiny", "cl+fused", best, best]]
    fuse_files(files["reranked"], files["first"], tmp_path / "weight.json", depth=DEPTH, tag="t", output=tmp_path / "fused.run")
    found, expected = read_run(tmp_path / "fused.run"), by_hand(files, best, norm)
    assert found[["query", "passage"]].equals(expected[["query", "passage"]]) and len(found) == 40 * DEPTH
    assert found["score"].to_list() == pytest.approx(expected["score"].to_list(), abs=1e-6)


def test_a_query_whose_scores_all_tie_has_no_say(tmp_path):
    """One passage, or a first stage that cannot tell them apart: the other side decides."""
    first = pl.DataFrame([("a", "x", 1), ("b", "x", 2), ("b", "y", 2)], schema=RUN, orient="row")
    write_run(tmp_path / "first.run", first, tag="t")
    write_run(tmp_path / "reranked.run", first.with_columns(score=pl.Series([5, 4, 3])), tag="t")
    for norm in NORMS:
        run = fused(read_both(tmp_path / "reranked.run", tmp_path / "first.run", 2), 0.5, norm)
        assert run["passage"].to_list() == ["x", "x", "y"] and run["score"].is_finite().all()
