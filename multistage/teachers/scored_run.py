"""A TREC run as teacher: its scores, and the order that they say."""

from pathlib import Path

import polars as pl

from multistage.data.runs import write_run
from multistage.jobs.files import replacing


def write_scored_run(scored: pl.DataFrame, run: str | Path, scores: str | Path, tag: str) -> None:
    """Write a teacher's ranking twice: to `scores` with its own scores, to `run` with minus its rank for a score."""
    order = scored.with_columns(score=-1.0 - pl.int_range(pl.len()).over("query"))
    with replacing(run, scores) as (run_file, scores_file):
        write_run(run_file, order, tag)
        write_run(scores_file, scored, tag)
