"""From a source's files to the tables of a collection, whatever kind it is: passages, and the queries that are drawn."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from multistage.config.data import Draw
from multistage.data.ir_datasets_reader import Dataset
from multistage.data.local_files import read_local_texts, read_qrels_file
from multistage.data.tables import QuerySet, read_ids, write_qrels, write_queries, write_texts
from multistage.data.vital_articles import article_passages, article_queries
from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing
from multistage.jobs.log import logger

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
    relevance: int = 1,
    queries: str | Path,
    qrels: str | Path,
    passages: str | Path | None = None,
) -> None:
    """Write the queries of a query set, all or those that are drawn, and their judgements. Queries without a judgement stay.

    settings: as for passages, with the id of the query set. Judgements of other queries are left out and counted.
    passages: the table of the collection, where judged passages may lack in it; they are counted, and kept, for a system that
    could not retrieve them missed them. relevance: the least grade that counts as relevant. Raises InputError where judgements
    share no query or no passage with the others, and where none of the grades that are kept reaches `relevance`.
    """
    if kind == "ir_datasets":
        dataset = Dataset(settings["id"])
        given, source = dataset.query_set(), dataset.name
    elif kind == "local":
        given, source = QuerySet(read_local_texts(sources[0]), read_qrels_file(sources[1])), ", ".join(sources)
    else:
        given, source = article_queries(sources[0], **settings), sources[0]
    known = list(given.queries)
    names = pl.Series([name for name, _ in known], dtype=pl.String)
    judged = given.judgements.filter(_shared(given.judgements["query"], names, f"{source}: the judgements", "the query set"))
    if unknown := len(given.judgements) - len(judged):
        logger.warning(f"{source}: {unknown:,} judgements left out: their queries are not in the query set")
    rows = range(len(known)) if draw is None else draw_queries(len(known), draw.seed, draw.start, draw.stop)
    kept = judged.filter(pl.col("query").is_in(names.gather(list(rows)).implode()))
    if passages:
        absent = kept.filter(~_shared(kept["passage"], read_ids(passages), f"{source}: the judgements", "the collection"))
        if not absent.is_empty():
            lacking = f"their passages, such as {absent['passage'].min()!r}, are not in the collection"
            logger.warning(f"{source}: {len(absent):,} judgements kept, though {lacking}: no system can find them")
    with replacing(queries, qrels) as (queries, qrels):  # both or neither
        write_queries(queries, [known[row] for row in rows], source)
        write_qrels(qrels, kept, source, relevance)
    logger.info(f"{source}: {len(rows):,} of {len(known):,} queries, {len(kept):,} judgements")
    if unjudged := len(rows) - kept["query"].n_unique():
        logger.warning(f"{source}: {unjudged:,} queries kept without a judgement: no measure counts them")
    if irrelevant := (kept.group_by("query").agg(pl.col("grade").max())["grade"] < relevance).sum():
        without = f"{irrelevant:,} queries have judgements but no relevant passage"
        logger.warning(f"{source}: {without}: RR, AP, recall and precision are 0 for every system")


def _shared(ids: pl.Series, known: pl.Series, source: str, where: str) -> pl.Series:
    """Whether each id is known. Raises InputError where none is."""
    shared = ids.is_in(known.implode())
    if len(ids) and len(known) and not shared.any():
        raise InputError(f"{source} share no id with {where}: they say {ids[0]!r}, where it says {known[0]!r}.")
    return shared


def draw_queries(count: int, seed: int, start: int, stop: int | None) -> list[int]:
    """Of `count` queries in an order shuffled with a seed, those at positions `start` up to `stop`, in their original order.

    Returns indices into the original order, ascending. stop: None for the last position.
    Raises InputError when there are fewer queries.
    """
    stop = count if stop is None else stop
    if start >= stop or stop > count:
        raise InputError(f"draw: queries {start} up to {stop} were asked for, and there are {count}; change from and to.")
    return sorted(np.random.default_rng(seed).permutation(count)[start:stop].tolist())
