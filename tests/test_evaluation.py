"""Measures against trec_eval, ties and missing queries included; intervals and tests against plain computations."""

import gzip

import numpy as np
import pandas as pd
import pytest
import pytrec_eval
from scipy import stats

from conftest import SHARED
from evaluation.comparison import IntervalSettings, bootstrap_interval, compare
from evaluation.measures import System, evaluate_runs, measure_run, ranx_name
from evaluation.plots import plot_effectiveness
from evaluation.tables import read_table, write_tables
from jobs.errors import InputError
from trec.runs import in_run_order, read_run, write_run

MEASURES = {
    "nDCG@10": "ndcg_cut_10",
    "nDCG": "ndcg",
    "AP": "map",
    "R@5": "recall_5",
    "P@10": "P_10",
    "RR": "recip_rank",
}
INTERVALS = IntervalSettings(confidence=0.95, resamples=500, seed=1)


def random_judgements(seed):
    """Qrels and a run with many ties, queries that the run lacks, and passages nobody judged."""
    generator = np.random.default_rng(seed)
    qrels, run = [], []
    for query in range(12):
        for passage in generator.choice(60, size=20, replace=False):
            qrels.append((f"q{query}", f"p{passage}", int(generator.choice([0, 0, 1, 2, 3]))))
        if query % 4:
            for passage in generator.choice(60, size=30, replace=False):
                run.append((f"q{query}", f"p{passage}", float(generator.integers(0, 6)) / 3))
    return pd.DataFrame(qrels, columns=["query", "passage", "grade"]), pd.DataFrame(run, columns=["query", "passage", "score"])


def by_trec_eval(run, qrels, relevance):
    judged = {query: dict(zip(rows["passage"], rows["grade"].tolist(), strict=True)) for query, rows in qrels.groupby("query")}
    scored = {query: dict(zip(rows["passage"], rows["score"].tolist(), strict=True)) for query, rows in run.groupby("query")}
    binary = pytrec_eval.RelevanceEvaluator(judged, set(MEASURES.values()), relevance_level=relevance).evaluate(scored)
    # pytrec_eval leaves out queries that the run lacks; trec_eval -c counts them as zero.
    return pd.DataFrame(
        [{ours: binary.get(query, {}).get(theirs, 0.0) for ours, theirs in MEASURES.items()} for query in judged],
        index=list(judged),
    )


@pytest.mark.parametrize("relevance", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_measures_are_trec_evals(seed, relevance):
    qrels, run = random_judgements(seed)
    expected = by_trec_eval(run, qrels, relevance)
    values = measure_run(in_run_order(run), qrels, list(MEASURES), relevance)
    assert len(values) == 12
    assert np.allclose(values.loc[expected.index, list(MEASURES)], expected, atol=1e-9)


@pytest.mark.skipif(not (SHARED / "data" / "dl19").is_dir(), reason="TREC DL 2019 is not at hand")
def test_the_papers_bm25_row_comes_out():
    qrels = pd.read_csv(
        SHARED / "data" / "dl19" / "qrels.txt", sep=r"\s+", names=["query", "zero", "passage", "grade"], dtype=str
    )
    qrels = qrels.assign(grade=qrels["grade"].astype(int))
    run = read_run(SHARED / "data" / "dl19" / "bm25-top500.run.gz")
    means = measure_run(run, qrels, ["AP", "nDCG@1", "nDCG@5", "nDCG@10", "R@100", "RR@10"], relevance=2).mean().round(4)
    assert means.tolist() == [0.3035, 0.5581, 0.5340, 0.5121, 0.4988, 0.7138]
    tied = read_run(SHARED / "data" / "dl19" / "colbert-top500.run.gz")
    with gzip.open(SHARED / "data" / "dl19" / "colbert-top500.run.gz", "rt") as stream:
        raw = pd.DataFrame([line.split() for line in stream]).iloc[:, [0, 2, 4]].set_axis(["query", "passage", "score"], axis=1)
    expected = by_trec_eval(raw.assign(score=raw["score"].astype(float)), qrels, 2)
    assert measure_run(tied, qrels, ["nDCG@10"], 2)["nDCG@10"].mean() == pytest.approx(expected["nDCG@10"].mean(), abs=1e-9)


def test_an_unknown_measure_is_an_error():
    with pytest.raises(InputError, match="measure 'MAP' is unknown; choose from nDCG, RR, AP, R, P"):
        ranx_name("MAP", 1)


def test_a_run_of_other_queries_is_an_error():
    qrels, run = random_judgements(0)
    with pytest.raises(InputError, match="no query in common"):
        measure_run(run.assign(query="other"), qrels, ["AP"], 1)


@pytest.fixture
def values(tmp_path):
    """What the evaluation of a first stage and two re-rankers writes."""
    qrels, run = random_judgements(7)
    qrels.to_parquet(tmp_path / "qrels.parquet")
    runs = []
    for number, name in enumerate(["first", "same", "better"]):
        changed = run if number < 2 else run.merge(qrels, how="left").fillna(0).assign(score=lambda table: table["grade"])
        runs.append(str(tmp_path / f"{name}.run"))
        write_run(runs[-1], changed[["query", "passage", "score"]], tag=name)
    systems = [System("bm25", "", "first-stage", ""), System("bm25", "tiny", "cl", "1"), System("bm25", "tiny", "cl-kd", "1")]
    output = tmp_path / "values.parquet"
    evaluate_runs(systems, runs, str(tmp_path / "qrels.parquet"), ["nDCG@10", "AP"], 1, output)
    return pd.read_parquet(output)


def test_a_relevance_level_that_nothing_reaches_is_an_error(tmp_path):
    qrels, run = random_judgements(7)
    qrels.to_parquet(tmp_path / "qrels.parquet")
    write_run(tmp_path / "one.run", run, tag="t")
    with pytest.raises(InputError, match="no judgement reaches the benchmark's relevance level 4"):
        evaluate_runs(
            [System("bm25", "", "first-stage", "")],
            [str(tmp_path / "one.run")],
            str(tmp_path / "qrels.parquet"),
            ["AP"],
            4,
            tmp_path / "values.parquet",
        )
    assert not (tmp_path / "values.parquet").exists()


def test_the_comparison_is_paired_by_query(values):
    shuffled = values.sample(frac=1, random_state=0).sort_values(["recipe"], kind="stable", ascending=False)
    for table in (values, shuffled):
        rows = compare({"test": table}, INTERVALS).set_index(["recipe", "measure"])
        assert len(rows) == 6 and (rows["queries"] == 12).all()
        own = values[values["measure"] == "AP"].pivot(index="query", columns="recipe", values="value")
        better, first = own["cl-kd"], own["first-stage"]
        row = rows.loc["cl-kd", "AP"]
        assert row["mean"] == pytest.approx(better.mean()) and row["difference"] == pytest.approx((better - first).mean())
        assert row["p"] == pytest.approx(stats.ttest_rel(better, first).pvalue)
        assert row["low"] < row["mean"] < row["high"]
        assert rows.loc["cl", "AP"]["difference"] == 0 and np.isnan(rows.loc["cl", "AP"]["p"])


def test_the_bootstrap_interval_is_the_percentile_interval():
    sample = np.random.default_rng(0).normal(size=200)
    low, high = bootstrap_interval(sample, IntervalSettings(0.9, 4000, seed=3))
    generator = np.random.default_rng(4)
    means = [generator.choice(sample, size=200).mean() for _ in range(4000)]
    assert (low, high) == pytest.approx(tuple(np.quantile(means, [0.05, 0.95])), abs=0.01)
    assert bootstrap_interval(np.ones(5), INTERVALS) == (1.0, 1.0)


def test_tables_and_plot_are_written_and_the_same_again(values, tmp_path):
    table = compare({"test": values}, INTERVALS)
    contents = []
    for name in ("one", "two"):
        files = [tmp_path / f"{name}.{suffix}" for suffix in ("csv", "md", "svg", "png")]
        write_tables(table, *files[:2])
        plot_effectiveness(read_table(files[0]), "nDCG@10", 0.95, *files[2:])
        contents.append([file.read_bytes() for file in files])
    assert contents[0] == contents[1]
    markdown = contents[0][1].decode()
    assert "### test (12 queries)" in markdown
    assert "| bm25 | tiny cl→kd | **" in markdown and "▲" in markdown
    assert b"<svg" in contents[0][2] and contents[0][3].startswith(b"\x89PNG")
