"""Runs of one's own and several experiments, compared without a config: against trec_eval, scipy and the workflow's tables."""

import re
from functools import partial

import numpy as np
import pytest
import pytrec_eval
from scipy import stats
from test_comparison import random_values

from multistage.config.evaluation import Evaluation
from multistage.evaluation.comparison import compare
from multistage.evaluation.experiments import own_systems, side_by_side
from multistage.evaluation.measures import evaluate_runs, read_experiment
from multistage.reporting.side_by_side import tables_of
from multistage.reporting.tables import read_table
from wrong_inputs import Case, judged

GRADES = {f"q{query}": {f"p{passage}": int(passage % 7 == query % 7) for passage in range(30)} for query in range(40)}


@pytest.fixture
def own(tmp_path):
    """Judgements and four runs in the formats of the field; the last two are one system. Gives each run's scores."""
    generator, runs = np.random.default_rng(0), {}
    for name, skill in {"first-try": 0.5, "b.run": 1.5, "c1": 1.0, "c2": 1.2}.items():
        runs[name] = {
            query: {passage: float(skill * grade + generator.normal()) for passage, grade in grades.items()}
            for query, grades in GRADES.items()
        }
        lines = [f"{query} Q0 {p} 1 {score!r} tag\n" for query, scores in runs[name].items() for p, score in scores.items()]
        (tmp_path / name).write_text("".join(lines))
    lines = [f"{query} 0 {passage} {grade}\n" for query, grades in GRADES.items() for passage, grade in grades.items()]
    (tmp_path / "own.qrels").write_text("".join(lines))
    return runs


def test_own_runs_are_measured_and_compared(own, tmp_path, multistage, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = "evaluate --qrels own.qrels --run first-try untrained=b.run c=c1 c=c2 --measures AP P@5 AP judged@5 --output out"
    printed = multistage(*command.split())
    evaluator = pytrec_eval.RelevanceEvaluator(GRADES, {"map"})
    expected = {name: np.array([each["map"] for each in evaluator.evaluate(run).values()]) for name, run in own.items()}
    means = read_table(tmp_path / "out/tables/effectiveness.csv").set_index(["recipe", "measure"])["mean"]
    assert means["first-try", "AP"] == pytest.approx(expected["first-try"].mean())
    assert means["c", "AP"] == pytest.approx((expected["c1"].mean() + expected["c2"].mean()) / 2)
    found = read_table(tmp_path / "out/tables/comparisons.csv").set_index(["recipe", "measure"])
    expected_p = stats.ttest_rel(expected["b.run"], expected["first-try"]).pvalue
    assert found.loc[("untrained", "AP"), "p"] == pytest.approx(expected_p)
    assert set(found["against"]) == {"first-try"} and found.loc[("c", "AP"), "seeds"] == 2
    assert "### own (40 queries)" in printed and "| System | AP | P@5 | judged@5 |" in printed and "First stage" not in printed
    assert re.search(r"^\| first-try \| 0\.\d{3} \| 0\.\d{3} \| 1\.000 \|$", printed, re.M)
    assert "↑ better, ↓ worse than first-try;" in printed and "### Beside first-try, by AP" in printed
    assert list(read_experiment(tmp_path / "out")) == ["own"], "the folder is an experiment's"
    assert "| c (out) | 0." in multistage("compare", "out", "again=out", "--measures", "AP", "AP").replace("out:c", "c (out)")


def experiments(*changes):
    """Two experiments that share first stages and the teacher; changes: of the second."""
    first, second = random_values(3), random_values(3)
    trained = ~second["recipe"].isin(("first-stage", "teacher"))
    second.loc[trained, "nDCG@10"] += np.random.default_rng(1).normal(0.05, 0.02, trained.sum())
    for change in changes:
        second = change(second)
    return {"a": {"test": first, "only-a": first}, "b-2": {"test": second}}


def test_recipes_of_two_experiments_stand_in_one_table():
    both = experiments()
    values = side_by_side(both)
    assert list(values) == ["test"]
    means, differences = compare(values, Evaluation().model_copy(update={"baseline": "a:cl"}))
    assert set(means["recipe"]) >= {"first-stage", "teacher", "a:kd-cl", "b-2:kd-cl"} and "untrained" not in set(
        means["recipe"]
    )
    assert means[means["measure"] == "nDCG@10"]["retriever"].is_monotonic_increasing
    assert not means.duplicated(["retriever", "recipe", "measure"]).any()
    alone = compare({"test": both["b-2"]["test"]}, Evaluation(baseline="cl"))[0]
    keys = ["retriever", "backbone", "recipe", "measure"]
    again = means.assign(recipe=means["recipe"].str.removeprefix("b-2:")).merge(alone, on=keys, suffixes=("", "_alone"))
    assert len(again) == len(alone) - 4 and np.allclose(again["low"], again["low_alone"], atol=1e-12)
    found = differences.set_index(["retriever", "recipe", "against"])
    rows = {name: table["test"].query("retriever == 'bm25' and recipe == 'cl'") for name, table in both.items()}
    gap = rows["b-2"]["nDCG@10"].mean() - rows["a"]["nDCG@10"].mean()
    assert found.loc[("bm25", "b-2:cl", "a:cl"), "difference"] == pytest.approx(gap)
    text = tables_of(values, None, None)
    assert "| bm25 | tiny kd→cl (b-2) | **0." in text and "the same backbone's cl (a);" in text


def test_a_measure_that_first_stages_do_not_share_is_left_out(caplog):
    values = side_by_side(experiments(lambda table: table.assign(**{"judged@10": 0.5})))
    assert "judged@10" not in values["test"] and "test: judged@10 left out" in caplog.text


def own_case(qrels, given, output, baseline=None):
    (given / "own.qrels").write_text(qrels)
    (given / "a.run").write_text("q1 Q0 p1 1 2.0 t\nq1 Q0 p2 2 1.0 t\nq2 Q0 p2 2 1.0 t\n")
    runs = {"qrels": given / "own.qrels", "measures": ["AP"], "relevance": 1, "depth": None}
    values = evaluate_runs(own_systems(["a", "b"]), [given / "a.run"] * 2, **runs)
    tables_of({"own": values.to_pandas()}, baseline, output)


def compared(change, given, output, measures=None):
    tables_of(side_by_side(change, measures), None, output)


TWO = experiments()
OTHER_QUERIES = experiments(lambda table: table[table["query"] != "q1"])
OTHER_MEASURES = experiments(lambda table: table.rename(columns={"nDCG@10": "AP", "judged@10": "RR"}))
test_inputs = judged(
    [
        Case("own judgements", "TREC's", partial(own_case, "q1 0 p1 1\nq2 0 p2 0\n")),
        Case(
            "own judgements", "other queries", partial(own_case, "q9 0 p1 1\n"), "a.run: none of its 2 queries, such as 'q1',"
        ),
        Case("own judgements", "no such baseline", partial(own_case, "q1 0 p1 1\nq2 0 p2 0\n", baseline="c"), "baseline 'c'"),
        Case("experiments", "two", partial(compared, TWO)),
        Case("experiments", "other benchmarks", partial(compared, TWO | {"c": {"dl19": TWO["a"]["test"]}}), "c has dl19"),
        Case("experiments", "other queries", partial(compared, OTHER_QUERIES), "test"),
        Case("experiments", "other measures", partial(compared, OTHER_MEASURES), "a and b-2"),
        Case("experiments", "none has the measure", partial(compared, TWO, measures=["AP"]), "AP was not measured"),
    ]
)


def test_what_cannot_be_is_refused(multistage, tmp_path):
    assert "a is there more than once; tell them apart: NAME=x/a" in multistage("compare", "x/a", "y/a")
    (tmp_path / "logs").mkdir()
    assert "is an experiment's folder, whose tables would be replaced" in multistage(
        "compare", "x/a", "--output", str(tmp_path)
    )
