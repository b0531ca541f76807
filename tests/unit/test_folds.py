"""Folds: no query is tested by a model that has learned or validated on it."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multistage.data.folds import fold_parts
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
