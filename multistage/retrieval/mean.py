"""Several retrievers or teachers as one: the mean of their scores, each normalised over a query's passages, or of ranks."""

from collections.abc import Sequence
from typing import Literal

import polars as pl

Norm = Literal["min-max", "zmuv", "rrf"]
# The least spread that is divided by, as in ranx.
LEAST = 1e-9


def normalised(norm: Norm, column: str = "score") -> pl.Expr:
    """Scores over each query's passages as ranx normalises them (`fuse(norm=norm)`), which needs a Python object for each.

    rrf: 1 / (60 + rank), of which the best, the first row of its query, has rank 1 (Cormack, Clarke and Büttcher 2009).
    """
    if norm == "rrf":
        return 1.0 / (61 + pl.int_range(pl.len()).over("query"))
    score = pl.col(column).cast(pl.Float64)
    zero, spread = (score.min(), score.max() - score.min()) if norm == "min-max" else (score.mean(), score.std(ddof=0))
    return (score - zero.over("query")) / spread.over("query").clip(LEAST)


def mean_run(runs: Sequence[pl.DataFrame], norm: Norm) -> pl.DataFrame:
    """The passages of all runs with their mean score, in the order of queries and passages.

    runs: (query row, passage row, score) each, in run order. A passage that a run lacks scores 0. This is ranx's `fuse` with
    equal weights, by the method wsum, or by rrf divided by the number of runs.
    """
    scaled = (run.with_columns(score=normalised(norm)) for run in runs)
    means = pl.concat(scaled).group_by("query", "passage").agg(pl.col("score").sum() / len(runs))
    return means.with_columns(pl.col("score").cast(pl.Float32)).sort("query", "passage")
