"""Relevance judgements and runs as the arrays that ranx measures: no id is a Python string."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from multistage.data.streaming import Block, stream_candidates
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

    def __init__(self, qrels: pd.DataFrame) -> None:
        """qrels: columns query, passage, grade."""
        ordered = qrels.assign(row=pd.factorize(qrels["query"])[0]).sort_values(["row", "grade"], ascending=[True, False])
        self.queries, self.passages = pd.Index(qrels["query"].unique()), pd.Index(ordered["passage"].unique())
        rows, self._grades = ordered["row"].to_numpy(), ordered["grade"].to_numpy(np.float64)
        column = ranks_of(rows)
        keys = self._keys(rows, self.passages.get_indexer(ordered["passage"]))
        order = np.argsort(keys)
        self._known, self._columns = keys[order], column[order]
        self._places = rows, column

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


def ranked_columns(blocks: Iterable[Block], judgements: Judgements) -> Grades:
    """A run as ranx takes it, (queries, longest ranking, 2): the columns of its passages, in run order; scores are not used.

    blocks: whole queries, with rows of the judgements' queries and passages. A query that the run lacks, and the end of a
    shorter ranking, are UNJUDGED: they count for nothing.
    """
    parts = list(blocks)
    queries, passages = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
    ranks = ranks_of(queries)
    ranking = np.full((len(judgements.queries), ranks.max() + 1, 2), UNJUDGED)
    ranking[queries, ranks, 0] = judgements.columns(queries, passages)
    return ranking


def ranks_of(queries: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """The rank of each row within its query, from 0. queries: (rows,), each query's rows together."""
    starts = np.flatnonzero(np.diff(queries, prepend=-1))
    return np.arange(len(queries)) - np.repeat(starts, np.diff(starts, append=len(queries)))


def ranking_of(run: pd.DataFrame, judgements: Judgements) -> Grades:
    """A run in memory, in run order, as `ranked_columns`. Raises InputError when no query of it is judged."""
    own = run[run["query"].isin(judgements.queries)]
    if own.empty:
        raise InputError("run and judgements have no query in common; they belong to different query sets.")
    rows = [known.get_indexer(own[name]) for known, name in ((judgements.queries, "query"), (judgements.passages, "passage"))]
    return ranked_columns([Block(rows[0], rows[1], own["score"].to_numpy())], judgements)


def read_ranking(path: str | Path, judgements: Judgements, depth: int, threads: int = 1) -> Grades:
    """Read a TREC run as `ranked_columns`, each query cut at `depth`. Raises InputError as `stream_candidates` does."""
    queries, passages = judgements.queries, judgements.passages
    return ranked_columns(stream_candidates(path, queries, passages, depth, threads, keep_unknown=True), judgements)
