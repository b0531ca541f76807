"""Query sets of every kind of collection: which queries are drawn, and their judgements."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from multistage.config import Draw
from multistage.data.tables import read_ids, write_qrels, write_queries
from multistage.jobs.errors import InputError

logger = logging.getLogger("jobs")


@dataclass(frozen=True)
class QuerySet:
    """Queries as (id, text), and judgements as (query id, passage id, grade), as a source has them."""

    queries: Iterable[tuple[str, str]]
    judgements: Iterable[tuple[str, str, int]]


def draw_queries(count: int, seed: int, start: int, stop: int | None) -> list[int]:
    """Of `count` queries in an order shuffled with a seed, those at positions `start` up to `stop`, in their original order.

    Returns indices into the original order, ascending. stop: None for the last position.
    Raises InputError when there are fewer queries.
    """
    stop = count if stop is None else stop
    if start >= stop or stop > count:
        raise InputError(f"draw: queries {start} up to {stop} were asked for, and there are {count} of them.")
    return sorted(np.random.default_rng(seed).permutation(count)[start:stop].tolist())


def write_query_set(
    query_set: QuerySet,
    source: str | Path,
    *,
    draw: Draw | None,
    queries: str | Path,
    qrels: str | Path,
    passages: str | Path | None = None,
) -> None:
    """Write the queries that are drawn, or all, and their judgements. Queries without a judgement stay.

    Judgements of other queries are left out and counted. passages: the table of the collection, where judged passages may lack
    in it; they are counted, and kept, for a system that could not retrieve them missed them.
    """
    known = list(query_set.queries)
    chosen = known if draw is None else [known[row] for row in draw_queries(len(known), draw.seed, draw.start, draw.stop)]
    wanted, others = {name for name, _ in chosen}, {name for name, _ in known}
    kept, unknown = [], 0
    for judgement in query_set.judgements:
        if judgement[0] in wanted:
            kept.append(judgement)
        else:
            unknown += judgement[0] not in others
    write_queries(queries, chosen, source)
    write_qrels(qrels, kept, source)
    judged = {query for query, _, _ in kept}
    logger.info(
        "%s of %s queries, %s judgements; %s queries have none",
        *_counts(len(chosen), len(known), len(kept), len(wanted - judged)),
    )
    if unknown:
        logger.warning("%s judgements left out: their queries are not in the query set", *_counts(unknown))
    if passages is not None:
        absent = {passage for _, passage, _ in kept}.difference(read_ids(passages))
        if absent:
            logger.warning(
                "%s judged passages are not in the collection, such as %r; their judgements are kept",
                *_counts(len(absent)),
                min(absent),
            )


def _counts(*numbers: int) -> list[str]:
    return [f"{number:,}" for number in numbers]
