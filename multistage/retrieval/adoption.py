"""Ready-made runs that take a retriever's place."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from multistage.data.streaming import RunCounts, stream_candidates

logger = logging.getLogger("jobs")


def adopt(source: str | Path, queries: pd.Index, passages: pd.Index, depth: int) -> Iterator[pd.DataFrame]:
    """The `depth` best passages that a run gives each query, as runs of some queries each (query, passage, score).

    source: a TREC run of any size, packed or not. queries, passages: ids; other queries of the run are left out.
    Raises InputError as `trec.streaming.stream_candidates` does: for a passage of these queries that is not in the collection,
    for a bad line, and when there is no query of the set.
    """
    counts = RunCounts()
    for block in stream_candidates(source, queries, passages, depth, counts=counts):
        yield block.run(queries, passages)
    if counts.queries < len(queries):
        logger.warning(
            "%s has nothing for %s of %s queries; they count as zero in every measure",
            source,
            f"{len(queries) - counts.queries:,}",
            f"{len(queries):,}",
        )
