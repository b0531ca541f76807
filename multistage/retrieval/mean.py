"""Several retrievers or teachers as one: the mean of their scores, each normalised over a query's passages, or of ranks."""

from collections.abc import Sequence
from typing import Literal

import polars as pl

SCORE = pl.col("score").cast(pl.Float64)
# The least spread that is divided by, as in ranx.
LEAST = 1e-9


def _scaled(zero: pl.Expr, spread: pl.Expr) -> pl.Expr:
    return (SCORE - zero.over("query")) / spread.over("query").clip(LEAST)


# rrf: 1 / (60 + rank), of which the best has rank 1 (Cormack, Clarke and Büttcher 2009).
NORMS = {
    "min-max": _scaled(SCORE.min(), SCORE.max() - SCORE.min()),
    "zmuv": _scaled(SCORE.mean(), SCORE.std(ddof=0)),
    "rrf": 1.0 / (61 + pl.int_range(pl.len()).over("query")),
}


def mean_run(runs: Sequence[pl.DataFrame], norm: Literal["min-max", "zmuv", "rrf"]) -> pl.DataFrame:
    """The passages of all runs with their mean score, in the order of queries and passages.

    runs: (query row, passage row, score) each, in run order. A passage that a run lacks scores 0. This is ranx's weighted sum
    (`fuse(norm=norm, method="wsum")`) with equal weights; with rrf, its `fuse(method="rrf")` divided by the number of runs.
    ranx needs a Python object for each passage, and a training set has millions.
    """
    scaled = (run.with_columns(score=NORMS[norm]) for run in runs)
    means = pl.concat(scaled).group_by("query", "passage").agg(pl.col("score").sum() / len(runs))
    return means.with_columns(pl.col("score").cast(pl.Float32)).sort("query", "passage")
