"""Measures against trec_eval: ties, missing queries, unjudged passages and negative grades included."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import pytrec_eval

from multistage.data.runs import RUN, read_run, write_run
from multistage.evaluation.judgements import Judgements, read_ranking
from multistage.evaluation.measures import System, evaluate_runs, measure_ranking, read_values, write_values

QRELS = ["query", "passage", "grade"]
MEASURES = {
    "nDCG@10": "ndcg_cut_10",
    "nDCG@1": "ndcg_cut_1",
    "nDCG": "ndcg",
    "AP": "map",
    "AP@5": "map_cut_5",
    "R@5": "recall_5",
    "R@100": "recall_100",
    "P@10": "P_10",
    "RR": "recip_rank",
}


def random_judgements(seed):
    """Qrels and a run with many ties, queries that the run lacks, passages nobody judged, and negative grades."""
    generator = np.random.default_rng(seed)
    qrels, run = [], []
    for query in range(12):
        for passage in generator.choice(60, size=20, replace=False):
            qrels.append((f"q{query}", f"p{passage}", int(generator.choice([-1, 0, 0, 1, 2, 3]))))
        if query % 4:
            for passage in generator.choice(60, size=30, replace=False):
                run.append((f"q{query}", f"p{passage}", float(generator.integers(0, 6)) / 3))
    return pl.DataFrame(qrels, QRELS, orient="row"), pl.DataFrame(run, RUN, orient="row")


def nested(table):
    """query -> passage -> grade or score, as pytrec_eval takes them."""
    by_query = table.group_by("query", maintain_order=True)
    return {query: dict(rows[:, 1:].iter_rows()) for (query,), rows in by_query}


def by_trec_eval(run, qrels, relevance):
    judged, scored = nested(qrels), nested(run)
    binary = pytrec_eval.RelevanceEvaluator(judged, set(MEASURES.values()), relevance_level=relevance).evaluate(scored)
    # pytrec_eval leaves out queries that the run lacks; trec_eval -c counts them as zero.
    return pd.DataFrame(
        [{ours: binary.get(query, {}).get(theirs, 0.0) for ours, theirs in MEASURES.items()} for query in judged],
        index=list(judged),
    )


def measured(path, qrels, measures, relevance, depth=None):
    """Values of a run in a file, a row per query."""
    judgements = Judgements(qrels, relevance)
    ranking = read_ranking(path, judgements, depth)
    return pd.DataFrame(measure_ranking(ranking, judgements, measures), index=judgements.queries.to_list())


@pytest.mark.parametrize("relevance", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_measures_are_trec_evals(tmp_path, seed, relevance):
    qrels, run = random_judgements(seed)
    write_run(tmp_path / "one.run", run, tag="t")
    expected = by_trec_eval(run, qrels, relevance)
    values = measured(tmp_path / "one.run", qrels, list(MEASURES), relevance)
    assert len(values) == 12
    assert np.allclose(values.loc[expected.index, list(MEASURES)], expected, atol=1e-9)


def test_judged_counts_what_has_any_grade(tmp_path):
    qrels, run = random_judgements(5)
    write_run(tmp_path / "one.run", run, tag="t")
    values = measured(tmp_path / "one.run", qrels, ["judged@10"], 2)["judged@10"]
    known = set(qrels["query", "passage"].rows())
    for (query,), rows in read_run(tmp_path / "one.run").group_by("query"):
        assert values[query] == pytest.approx(sum((query, passage) in known for passage in rows["passage"][:10]) / 10)
    assert values["q0"] == 0 and 0 < values.mean() < 1


def test_values_are_kept_by_system_and_query(tmp_path, caplog):
    """Those of a random run under three systems."""
    systems = [System("bm25", "", "first-stage", ""), System("bm25", "tiny", "cl", "1"), System("bm25", "tiny", "cl", "2")]
    qrels, run = random_judgements(7)
    qrels.write_parquet(tmp_path / "qrels.parquet")
    write_run(tmp_path / "one.run", run, tag="t")
    given = {"qrels": str(tmp_path / "qrels.parquet"), "measures": ["nDCG@10", "AP"], "relevance": 1, "depth": None}
    write_values(evaluate_runs(systems, [str(tmp_path / "one.run")] * 3, **given), tmp_path / "values.parquet")
    table = read_values(tmp_path / "values.parquet")
    assert list(table.columns) == ["retriever", "backbone", "recipe", "seed", "query", "nDCG@10", "AP"] and len(table) == 36
    expected, judged = (measured(tmp_path / "one.run", qrels, [name], 1)[name] for name in ("AP", "judged@10"))
    share = f"{100 - 100 * judged.mean():.0f}%"
    assert f" {share} of a run's first 10 passages are unjudged (most: bm25 first-stage)" in caplog.text
    lost = qrels["query"].n_unique() - run["query"].n_unique()
    assert lost > 1 and f" {lost} of 12 judged queries have no ranking in the run of bm25 first-stage" in caplog.text
    for system in systems:
        own = table[(table["recipe"] == system.recipe) & (table["seed"] == system.seed)]
        assert own.set_index("query")["AP"].to_dict() == expected.to_dict()
