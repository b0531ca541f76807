"""Folds: no query is tested by a model that has learned or validated on it."""

from itertools import product
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multistage.config.recipes import PARTS
from multistage.data.folds import fold_parts, join_runs, split_queries, split_run
from multistage.data.runs import write_run
from multistage.data.tables import write_qrels, write_queries
from multistage.jobs.errors import InputError


@given(st.lists(st.integers(0, 25), min_size=30, max_size=60), st.integers(2, 5), st.randoms(use_true_random=False))
def test_every_query_is_tested_once_and_learned_in_no_fold_that_tests_it(texts, folds, random):
    """Numbers of texts, many of them equal; of each text, some queries have judgements."""
    queries = pl.DataFrame({"id": [f"q{n}" for n in range(len(texts))]}).with_columns(
        text=pl.Series([f"Text {n}" if random.random() < 0.5 else f"text  {n} " for n in texts])
    )
    judged = queries["id"].filter(pl.Series([random.random() < 0.8 for _ in texts]))
    try:
        parts = fold_parts(queries, judged, folds)
    except InputError:  # too few judged texts
        assert len({texts[int(name[1:])] for name in judged}) < 3 * folds
        return
    assert len(parts) == folds
    assert sorted(name for *_, test in parts for name in test) == sorted(queries["id"])
    sizes = [len({texts[int(name[1:])] for name in test}) for *_, test in parts]
    assert max(sizes) - min(sizes) <= 1
    for train, validation, test in parts:
        assert sorted([*train, *validation, *test]) == sorted(queries["id"])
        learned, validated, tested = ({texts[int(name[1:])] for name in part} for part in (train, validation, test))
        assert not learned & tested and not validated & tested and not learned & validated
        assert all(set(part) & set(judged) for part in (train, validation, test))


def test_too_few_judged_queries_are_refused():
    queries = pl.DataFrame({"id": ["a", "b", "c", "d"], "text": ["one", "two", "three", "four"]})
    with pytest.raises(InputError, match="2 judged queries cannot be split into 2 folds"):
        fold_parts(queries, pl.Series(["a", "b"]), 2)


def test_the_files_of_parts_are_the_whole_ones_and_runs_join_again(tmp_path):
    """Of query sets, judgements and a run; the run lacks a query, and one has no judgement."""
    names = [f"q{number}" for number in range(14)]
    queries = pl.DataFrame({"id": names, "text": [f"text {name}" for name in names]})
    qrels = pl.DataFrame(
        [(name, f"p{grade}", grade) for name in names[1:] for grade in (0, 1)], ["query", "passage", "grade"], orient="row"
    )
    run = pl.DataFrame(
        [(name, passage, 1.0) for name in names[:-1] for passage in ("pb", "pa")], ["query", "passage", "score"], orient="row"
    )
    write_queries(tmp_path / "queries", queries.rows(), "queries")
    write_qrels(tmp_path / "qrels", qrels, "qrels")
    (tmp_path / "bm25").mkdir()
    write_run(tmp_path / "bm25" / "run", run, "bm25")
    files = {
        kind: [str(tmp_path / f"{fold}-{part}.{kind}") for fold, part in product(range(3), PARTS)]
        for kind in ("queries", "qrels", "run")
    }
    split_queries(tmp_path / "queries", tmp_path / "qrels", folds=3, queries=files["queries"], qrels=files["qrels"])
    split_run(tmp_path / "bm25" / "run", files["queries"], files["run"])
    parts = [part for fold in fold_parts(queries, qrels["query"], 3) for part in fold]
    lines = (tmp_path / "bm25" / "run").read_text().splitlines()
    for ids, asked, judged, ranked in zip(parts, *files.values(), strict=True):
        assert pl.read_parquet(asked).rows() == [row for row in queries.rows() if row[0] in ids]
        assert pl.read_parquet(judged)["query"].to_list() == [name for name in qrels["query"] if name in ids]
        assert Path(ranked).read_text().splitlines() == [line for line in lines if line.split()[0] in ids]
    join_runs(files["run"][2::3], tmp_path / "joined")
    assert sorted((tmp_path / "joined").read_text().splitlines()) == sorted(lines)
