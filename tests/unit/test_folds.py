"""Folds: every query is tested once, by what has not seen it; runs are split and joined with the queries."""

import itertools

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multistage.data.folds import fold_parts, join_runs, split_queries, split_run
from multistage.data.runs import read_run, write_run
from multistage.data.tables import QRELS, read_ids, read_qrels, write_qrels, write_queries
from multistage.jobs.errors import InputError

# Queries as (text, whether it is judged), some of the same text in another case or with other blanks.
TEXTS = st.one_of(st.integers(0, 10**6).map(str), st.sampled_from(["some query", "Some  Query", " some query\n", "other"]))


def table(texts):
    return pl.DataFrame({"id": [f"q{row}" for row in range(len(texts))], "text": texts}, {"id": pl.String, "text": pl.String})


@given(st.lists(st.tuples(TEXTS, st.sampled_from([True, True, False])), min_size=1, max_size=60), st.integers(2, 8))
def test_each_fold_learns_nothing_that_it_tests(queries, folds):
    texts = table([text for text, _ in queries])
    judged = texts.filter(pl.Series([judged for _, judged in queries], dtype=pl.Boolean))["id"]
    plain = {name: " ".join(text.lower().split()) for name, text in texts.rows()}
    try:
        parts = fold_parts(texts, judged, folds)
    except InputError:
        assert len({plain[name] for name in judged}) < folds + 2
        return
    assert len(parts) == folds
    tested = [set(test) for _, _, test in parts]
    assert sorted(name for test in tested for name in test) == sorted(plain)  # each query once
    for fold in parts:
        assert sorted(name for part in fold for name in part) == sorted(plain)
        assert all(set(part) & set(judged) for part in fold)
        for one, other in itertools.combinations(fold, 2):
            assert not {plain[name] for name in one} & {plain[name] for name in other}
    if len(set(plain.values())) == len(plain):
        for of in (set(plain), set(judged)):
            sizes = [len(test & of) for test in tested]
            assert max(sizes) - min(sizes) <= 1
    assert [list(map(list, fold)) for fold in fold_parts(texts, judged, folds)] == [list(map(list, fold)) for fold in parts]


@pytest.mark.parametrize(("judged", "folds"), [(3, 4), (2, 2), (0, 2)])
def test_too_few_judged_queries_are_refused(judged, folds):
    texts = table(list("abcdefgh"))
    with pytest.raises(InputError, match=rf"^{judged} judged queries cannot be split into {folds} folds"):
        fold_parts(texts, texts["id"].head(judged), folds)


def test_judgements_and_runs_go_with_their_queries(tmp_path):
    texts = table([f"text {row}" for row in range(23)])
    pairs = list(itertools.product(texts["id"], ["p1", "p2"]))
    qrels = pl.DataFrame([(*pair, len(pair[0]) % 2) for pair in pairs], QRELS, orient="row")
    run = pl.DataFrame([(*pair, float(row)) for row, pair in enumerate(pairs)], ["query", "passage", "score"], orient="row")
    write_queries(tmp_path / "queries.parquet", texts.rows(), "source")
    write_qrels(tmp_path / "qrels.parquet", qrels, "source")
    write_run(tmp_path / "whole.run", run, "bm25")
    names = {kind: [str(tmp_path / f"{part}.{kind}") for part in range(9)] for kind in ("queries", "qrels", "run")}
    files = {kind: names[kind] for kind in ("queries", "qrels")}
    split_queries(tmp_path / "queries.parquet", tmp_path / "qrels.parquet", folds=3, **files)
    split_run(tmp_path / "whole.run", names["queries"], names["run"])
    for queries, judgements, rankings in zip(*names.values(), strict=True):
        ids = set(read_ids(queries))
        assert ids and set(read_qrels(judgements).rows()) == {row for row in qrels.rows() if row[0] in ids}
        assert set(read_run(rankings).rows()) == {row for row in run.rows() if row[0] in ids}
    join_runs(names["run"][2::3], tmp_path / "joined.run")
    assert sorted(read_run(tmp_path / "joined.run").rows()) == sorted(run.rows())
