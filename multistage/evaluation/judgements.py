"""Relevance judgements and runs as the arrays that ranx measures: no id is a Python string."""

from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from multistage.data.runs import ranks_of, read_run
from multistage.data.tables import read_qrels
from multistage.jobs.errors import InputError

Grades = npt.NDArray[np.float64]
Columns = npt.NDArray[np.float64]
# What stands in a run for a passage that is not judged, and in judgements where a query has fewer than another.
UNJUDGED, NO_PASSAGE = -1.0, -2.0


class Judgements:
    """The judgements of a query set.

    queries, passages: their ids, by row. Each judged passage of a query has a column, by falling grade.
    """

    def __init__(self, qrels: pl.DataFrame) -> None:
        """qrels: columns query, passage, grade."""
        self.queries, self.passages = (qrels[name].unique(maintain_order=True) for name in ("query", "passage"))
        ordered = self.rows(qrels).sort("query", "grade", descending=[False, True], maintain_order=True)
        rows, self._grades = ordered["query"].to_numpy(), ordered["grade"].to_numpy().astype(np.float64)
        column = ranks_of(rows)
        keys = self._keys(rows, ordered["passage"].to_numpy())
        order = np.argsort(keys)
        self._known, self._columns = keys[order], column[order]
        self._places = rows, column

    def rows(self, table: pl.DataFrame) -> pl.DataFrame:
        """A table with the columns query and passage, rows in place of ids: int32, -1 where there are none here."""
        rows = {
            name: pl.col(name).replace_strict(ids, np.arange(len(ids)), default=-1, return_dtype=pl.Int32)
            for name, ids in (("query", self.queries), ("passage", self.passages))
        }
        return table.with_columns(**rows)

    @cached_property
    def grades(self) -> Grades:
        """(queries, most judged, 2): columns and grades of the judged passages, by falling grade, as ranx takes them."""
        return self._padded(self._grades)

    @cached_property
    def judged(self) -> Grades:
        """The same with grade 1 for whatever is judged."""
        return self._padded(np.ones_like(self._grades))

    def columns(self, query_rows: npt.NDArray[np.integer], passage_rows: npt.NDArray[np.integer]) -> Columns:
        """The column of each (query, passage) pair, both by row, UNJUDGED where it is not judged. passage_rows: -1 if
        unknown."""
        keys = self._keys(query_rows, passage_rows)
        places = np.minimum(np.searchsorted(self._known, keys), len(self._known) - 1)
        found = (self._known[places] == keys) & (passage_rows >= 0)
        return np.where(found, self._columns[places], UNJUDGED)

    def _keys(self, query_rows: npt.NDArray[np.integer], passage_rows: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        return query_rows.astype(np.int64) * len(self.passages) + passage_rows

    def _padded(self, grades: Grades) -> Grades:
        rows, column = self._places
        array = np.zeros((len(self.queries), column.max() + 1, 2))
        array[:, :, 0] = NO_PASSAGE
        array[rows, column, 0], array[rows, column, 1] = column, grades
        return array


def read_judgements(path: str | Path, relevance: int) -> Judgements:
    """Read qrels. Raises InputError when none of them reaches the relevance level of the query set."""
    qrels = read_qrels(path)
    if not (qrels["grade"] >= relevance).any():
        raise InputError(f"{path}: no judgement reaches the benchmark's relevance level {relevance}.")
    return Judgements(qrels)


def ranked_columns(run: pl.DataFrame, judgements: Judgements) -> Grades:
    """A run as ranx takes it, (queries, longest ranking, 2): the columns of its passages, in run order; scores are not used.

    run: rows of the judgements' queries and passages. A query that the run lacks, and the end of a shorter ranking, are
    UNJUDGED: they count for nothing.
    """
    queries, passages = run["query"].to_numpy(), run["passage"].to_numpy()
    ranks = ranks_of(queries)
    ranking = np.full((len(judgements.queries), ranks.max() + 1, 2), UNJUDGED)
    ranking[queries, ranks, 0] = judgements.columns(queries, passages)
    return ranking


def ranking_of(run: pl.DataFrame, judgements: Judgements) -> Grades:
    """A run of ids as `ranked_columns`. Raises InputError when no query of it is judged."""
    own = judgements.rows(run).filter(pl.col("query") >= 0)
    if own.is_empty():
        raise InputError("run and judgements have no query in common; they belong to different query sets.")
    return ranked_columns(own, judgements)


def read_ranking(path: str | Path, judgements: Judgements, depth: int | None = None) -> Grades:
    """Read a TREC run as `ranked_columns`, each query cut at `depth`. Raises InputError as `read_run` does."""
    run = read_run(path, depth, queries=judgements.queries, passages=judgements.passages, keep_unknown=True)
    return ranked_columns(run, judgements)
