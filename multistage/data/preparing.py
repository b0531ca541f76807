"""From a source's files to the tables of a collection, whatever kind it is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from multistage.config import Draw
from multistage.data.ir_datasets_reader import Dataset
from multistage.data.local_files import read_local_queries, read_local_texts
from multistage.data.query_sets import QuerySet, write_query_set
from multistage.data.tables import write_texts
from multistage.data.vital_articles import article_passages, article_queries

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
        write_texts(output, article_passages(sources[0], settings["member"], settings["articles"]), sources[0])


def prepare_queries(
    kind: str,
    sources: Sequence[str],
    settings: Settings,
    *,
    draw: Draw | None,
    queries: str | Path,
    qrels: str | Path,
    passages: str | Path | None,
) -> None:
    """Write the queries and judgements of a query set, or those that are drawn of it.

    settings: as for passages, with the id of the query set. passages: the collection's table, where judged passages
    are looked for in it.
    """

    def write(query_set: QuerySet, source: str) -> None:
        write_query_set(query_set, source, draw=draw, queries=queries, qrels=qrels, passages=passages)

    if kind == "ir_datasets":
        dataset = Dataset(settings["id"])
        write(dataset.query_set(), dataset.name)
    elif kind == "local":
        write(read_local_queries(*sources), ", ".join(sources))
    else:
        write(article_queries(sources[0], settings["member"], settings["articles"]), sources[0])
