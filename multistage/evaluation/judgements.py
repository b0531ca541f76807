"""Relevance judgements and runs as the arrays that ranx measures: no id is a Python string."""

from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from multistage.data.local_files import read_qrels_file
from multistage.data.runs import ranks_of, read_run
from multistage.data.tables import checked_qrels, read_qrels
from multistage.jobs.errors import InputError

Grades = npt.NDArray[np.float64]
# What stands in a run for a passage that is not judged, and in judgements where a query has fewer than another.
UNJUDGED, NO_PASSAGE = -1, -2


class Judgements:
    """The judgements of a query set.

    queries, passages: their ids, by row. Each judged passage of a query has a column, by falling grade.
    relevance: the least grade that counts as relevant for binary measures.
    """

    def __init__(self, qrels: pl.DataFrame, relevance: int) -> None:
        """qrels: columns query, passage, grade."""
        self.relevance = relevance
        self.queries, self.passages = (qrels[name].unique(maintain_order=True) for name in ("query", "passage"))
        judged = self.rows(qrels).sort("query", "grade", descending=[False, True], maintain_order=True)
        self._judged = judged.with_columns(column=pl.int_range(pl.len()).over("query"))

    def rows(self, table: pl.DataFrame) -> pl.DataFrame:
        """A table with rows in place of ids of queries and passages: int32, -1 where there are none here."""
        known = {"query": self.queries, "passage": self.passages}
        return table.with_columns(
            pl.col(name).replace_strict(ids, np.arange(len(ids)), default=-1, return_dtype=pl.Int32)
            for name, ids in known.items()
            if table.schema[name] == pl.String
        )

    def locate(self, run: pl.DataFrame) -> pl.DataFrame:
        """The part of a run that is of these queries: rows for ids, and the column of each passage, UNJUDGED where it is not
        judged. Raises InputError when there is none."""
        own = self.rows(run).filter(pl.col("query") >= 0)
        if own.is_empty():
            raise InputError("run and judgements have no query in common; they belong to different query sets.")
        found = own.join(self._judged.drop("grade"), on=["query", "passage"], how="left", maintain_order="left")
        return found.with_columns(pl.col("column").fill_null(UNJUDGED))

    @cached_property
    def grades(self) -> Grades:
        """(queries, most judged, 2): columns and grades of the judged passages, by falling grade, as ranx takes them."""
        return self._padded(self._judged, NO_PASSAGE, self._judged["grade"].to_numpy())

    @cached_property
    def judged(self) -> Grades:
        """The same with grade 1 for whatever is judged."""
        return self._padded(self._judged, NO_PASSAGE, 1.0)

    def ranking(self, run: pl.DataFrame) -> Grades:
        """A run as ranx takes it, (queries, longest ranking, 2): the columns of its passages, in run order, each with 1.

        run: of `locate`, each query's rows together. A query that the run lacks, and the end of a shorter ranking, are
        UNJUDGED: they count for nothing.
        """
        return self._padded(run, UNJUDGED, 1.0)

    def _padded(self, run: pl.DataFrame, padding: int, scores: Grades | float) -> Grades:
        queries = run["query"].to_numpy()
        ranks = ranks_of(queries)
        array = np.zeros((len(self.queries), ranks.max() + 1, 2))
        array[:, :, 0] = padding
        array[queries, ranks, 0], array[queries, ranks, 1] = run["column"].to_numpy(), scores
        return array


def read_judgements(path: str | Path, relevance: int) -> Judgements:
    """Read qrels, a table of the workflow's or a file of anybody's. Raises InputError as `checked_qrels` does."""
    given = read_qrels(path) if Path(path).suffix == ".parquet" else read_qrels_file(path)
    return Judgements(checked_qrels(given, path, relevance), relevance)


def read_ranking(path: str | Path, judgements: Judgements, depth: int | None = None) -> Grades:
    """Read a TREC run as `Judgements.ranking`, each query cut at `depth`. Raises InputError as `read_run` does."""
    run = read_run(path, depth, queries=judgements.queries, passages=judgements.passages, keep_unknown=True)
    return judgements.ranking(judgements.locate(run))
