"""From a source's files to the tables of a collection, whatever kind it is: passages, and the queries that are drawn."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from multistage.config import Draw
from multistage.data.ir_datasets_reader import Dataset
from multistage.data.local_files import read_local_texts, read_qrels_file
from multistage.data.tables import QuerySet, read_ids, write_qrels, write_queries, write_texts
from multistage.data.vital_articles import article_passages, article_queries
from multistage.jobs.errors import InputError

logger = logging.getLogger("jobs")
Settings = dict[str, Any]


def prepare_passages(kind: str, sources: Sequence[str], settings: Settings, output: str | Path) -> None:
    """Write the passages of a collection.

    settings, beside its kind: member and articles of vital articles; id of an ir_datasets collection; none of a local one.
    """
    if kind == "ir_datasets":
        dataset = Dataset(settings["id"])
        write_texts(output, dataset.passages(), dataset.name, dataset.passage_count())
    elif kind == "local":
        write_texts(output, read_local_texts(sources[0]), sources[0])
    else:
        write_texts(output, article_passages(sources[0], **settings), sources[0])


def prepare_queries(
    kind: str,
    sources: Sequence[str],
    settings: Settings,
    *,
    draw: Draw | None,
    queries: str | Path,
    qrels: str | Path,
    passages: str | Path | None = None,
) -> None:
    """Write the queries of a query set, all or those that are drawn, and their judgements. Queries without a judgement stay.

    settings: as for passages, with the id of the query set. Judgements of other queries are left out and counted.
    passages: the table of the collection, where judged passages may lack in it; they are counted, and kept, for a system that
    could not retrieve them missed them.
    """
    if kind == "ir_datasets":
        dataset = Dataset(settings["id"])
        given, source = dataset.query_set(), dataset.name
    elif kind == "local":
        given, source = QuerySet(read_local_texts(sources[0]), read_qrels_file(sources[1])), ", ".join(sources)
    else:
        given, source = article_queries(sources[0], **settings), sources[0]
    known = list(given.queries)
    chosen = known if draw is None else [known[row] for row in draw_queries(len(known), draw.seed, draw.start, draw.stop)]
    wanted, others = {name for name, _ in chosen}, {name for name, _ in known}
    kept, unknown = [], 0
    for judgement in given.judgements:
        if judgement[0] in wanted:
            kept.append(judgement)
        else:
            unknown += judgement[0] not in others
    write_queries(queries, chosen, source)
    write_qrels(qrels, kept, source)
    unjudged = len(wanted.difference(query for query, _, _ in kept))
    logger.info(
        "%s of %s queries, %s judgements; %s queries have none",
        *(f"{number:,}" for number in (len(chosen), len(known), len(kept), unjudged)),
    )
    if unknown:
        logger.warning("%s judgements left out: their queries are not in the query set", f"{unknown:,}")
    absent = {passage for _, passage, _ in kept}.difference(read_ids(passages)) if passages else set()
    if absent:
        logger.warning(
            "%s judged passages are not in the collection, such as %r; their judgements are kept",
            f"{len(absent):,}",
            min(absent),
        )


def draw_queries(count: int, seed: int, start: int, stop: int | None) -> list[int]:
    """Of `count` queries in an order shuffled with a seed, those at positions `start` up to `stop`, in their original order.

    Returns indices into the original order, ascending. stop: None for the last position.
    Raises InputError when there are fewer queries.
    """
    stop = count if stop is None else stop
    if start >= stop or stop > count:
        raise InputError(f"draw: queries {start} up to {stop} were asked for, and there are {count} of them.")
    return sorted(np.random.default_rng(seed).permutation(count)[start:stop].tolist())
