"""Several teachers as one: the mean of their scores, each normalised over a query's passages."""

from collections.abc import Sequence
from typing import Literal

import polars as pl

SCORE = pl.col("score").cast(pl.Float64)
# As ranx has them; with it, the least spread that is divided by.
NORMS = {"min-max": (SCORE.min(), SCORE.max() - SCORE.min()), "zmuv": (SCORE.mean(), SCORE.std(ddof=0))}
LEAST = 1e-9


def mean_run(runs: Sequence[pl.DataFrame], norm: Literal["min-max", "zmuv"]) -> pl.DataFrame:
    """The passages of all runs with their mean score, in the order of queries and passages.

    runs: (query row, passage row, score) each. This is ranx's weighted sum (`fuse(norm=norm, method="wsum")`) with equal
    weights, in which a passage that a run lacks scores 0; ranx needs a Python object for each passage, and a training set has
    millions.
    """
    zero, spread = NORMS[norm]
    scaled = (run.with_columns(score=(SCORE - zero.over("query")) / spread.over("query").clip(LEAST)) for run in runs)
    means = pl.concat(scaled).group_by("query", "passage").agg(pl.col("score").sum() / len(runs))
    return means.with_columns(pl.col("score").cast(pl.Float32)).sort("query", "passage")
