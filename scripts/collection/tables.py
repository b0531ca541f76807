"""The Parquet tables that everything downstream reads.

passages, queries: columns id, text (strings), one line a text; the line number is the row that stores and groups use.
qrels: columns query, passage (ids), grade (int).
"""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from jobs.errors import InputError
from jobs.files import replacing

ROWS_AT_ONCE = 2_000
# Rows that a reader holds at once, at most: a few tens of megabytes of text.
ROW_GROUP = 50_000


def write_texts(path: str | Path, ids: list[str], texts: list[str], source: str) -> None:
    """Write passages or queries. Raises InputError: no text, an id that is empty, repeated or has a blank in it."""
    table = pd.DataFrame({"id": ids, "text": texts}, dtype=str)
    if table.empty:
        raise InputError(f"{source}: there is not a single text in it.")
    unusable = table["id"].str.contains(r"\s") | (table["id"] == "") | table["id"].duplicated()
    if unusable.any():
        raise InputError(
            f"{source}: id {table['id'][unusable].iloc[0]!r} is empty, repeated or holds a blank; TREC files cannot carry it."
        )
    with replacing(path) as (partial,):
        table.to_parquet(partial, index=False, row_group_size=ROW_GROUP)


def write_queries(path: str | Path, ids: list[str], texts: list[str], source: str) -> None:
    """Write queries. Raises InputError also when a query has no text, which no retriever can answer."""
    for query, text in zip(ids, texts, strict=True):
        if not text.strip():
            raise InputError(f"{source}: query {query!r} is empty; give it a text or leave it out of the query set.")
    write_texts(path, ids, texts, source)


def write_qrels(path: str | Path, judgements: list[tuple[str, str, int]], source: str) -> None:
    """Write (query id, passage id, grade). Raises InputError when no passage is relevant or a pair is judged twice."""
    table = pd.DataFrame(judgements, columns=["query", "passage", "grade"])
    if not (table["grade"] > 0).any():
        raise InputError(
            f"{source}: none of its {len(table)} judgements has a grade above 0; nothing could be measured with it."
        )
    twice = table.duplicated(["query", "passage"])
    if twice.any():
        query, passage, _ = judgements[int(twice.to_numpy().argmax())]
        raise InputError(f"{source}: passage {passage!r} is judged twice for query {query!r}.")
    with replacing(path) as (partial,):
        table.astype({"grade": "int16"}).to_parquet(partial, index=False)


def count_texts(path: str | Path) -> int:
    """How many passages or queries there are."""
    return int(pq.ParquetFile(path).metadata.num_rows)


def stream_texts(path: str | Path) -> Iterator[list[str]]:
    """The texts of passages or queries in order, a few thousand at a time."""
    for batch in pq.ParquetFile(path).iter_batches(batch_size=ROWS_AT_ONCE, columns=["text"]):
        yield batch.column("text").to_pylist()


def read_texts(path: str | Path) -> pd.DataFrame:
    """Read passages or queries."""
    return pd.read_parquet(path, columns=["id", "text"])


def read_ids(path: str | Path) -> pd.Index:
    """The ids of passages or queries, by row."""
    return pd.Index(pd.read_parquet(path, columns=["id"])["id"])


def read_qrels(path: str | Path) -> pd.DataFrame:
    """Read relevance judgements."""
    return pd.read_parquet(path)
