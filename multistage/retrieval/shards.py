"""A collection in parts: contiguous rows, each part searched by a job of its own."""

from pathlib import Path

import polars as pl

from multistage.data.tables import count_texts, read_ids
from multistage.jobs.errors import InputError


def shard_rows(count: int, shard: int, shards: int) -> tuple[int, int]:
    """The rows of a part, counted from 0, of a table: from start up to stop. Raises InputError for more parts than rows."""
    if shards > count:
        raise InputError(f"config: {shards} shards are too many for a collection of {count} passages; each needs one at least.")
    return count * shard // shards, count * (shard + 1) // shards


def shard_ids(passages: str | Path, shard: int, shards: int) -> pl.Series:
    """The ids of the passages in a part of a passages table, by row of the part."""
    start, stop = shard_rows(count_texts(passages), shard, shards)
    return read_ids(passages, start, stop - start)
