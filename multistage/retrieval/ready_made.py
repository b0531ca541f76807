"""Ready-made runs that take the place of a retriever's or a teacher's own."""

import logging
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from multistage.data.runs import ranks_of, read_run, with_ids

logger = logging.getLogger("jobs")
# Queries that are written together.
QUERIES_AT_ONCE = 2_000


def import_run(source: str | Path, queries: pl.Series, passages: pl.Series, depth: int) -> Iterator[pl.DataFrame]:
    """The `depth` best passages that a run gives each query of the set: runs of some queries each, with ids.

    source: a TREC run of any size, packed or not. queries, passages: ids; other queries of the run are left out.
    Raises InputError as `read_run` does, also for a passage of these queries that is not in the collection.
    """
    run = read_run(source, depth, queries=queries, passages=passages)
    starts = np.flatnonzero(ranks_of(run["query"].to_numpy()) == 0)
    if lacking := len(queries) - len(starts):
        logger.warning(
            "%s has nothing for %s of the queries; they count as zero and are not trained on",
            source,
            f"{lacking:,}",
        )
    for start, stop in pairwise([*starts[::QUERIES_AT_ONCE].tolist(), len(run)]):
        yield with_ids(run[start:stop], queries, passages)
