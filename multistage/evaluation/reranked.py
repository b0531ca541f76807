"""A re-ranked run beside the first-stage run that it was made of."""

from pathlib import Path

import polars as pl

from multistage.data.runs import read_run
from multistage.jobs.errors import InputError


def read_both(reranked: str | Path, first_stage: str | Path, depth: int) -> pl.DataFrame:
    """The passages of both in the order of the re-ranked run: query, passage, score, place (from 0) and the same of the first
    stage, first_score and first_place.

    depth: passages of each query that were re-ranked. Raises InputError as `read_run` does, and where the passages differ.
    """
    place = pl.int_range(pl.len()).over("query")
    again = read_run(reranked).with_columns(place=place)
    first = read_run(first_stage, depth).select("query", "passage", first_score="score", first_place=place)
    both = again.join(first, on=["query", "passage"], maintain_order="left")
    if not len(both) == len(again) == len(first):
        raise InputError(
            f"{reranked} has {len(again):,} passages, the first {depth} of each query in {first_stage} are "
            f"{len(first):,}, and {len(both):,} are in both; delete the one that is older to have it made again."
        )
    return both
