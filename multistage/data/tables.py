"""The Parquet tables that everything downstream reads.

passages, queries: columns id, text (strings), one line a text; the line number is the row that stores and groups use.
qrels: columns query, passage (ids), grade (int).

Texts are written and read in parts, so that a collection of any size takes little memory.
"""

import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing
from multistage.jobs.log import Rate

logger = logging.getLogger("jobs")

ROWS_AT_ONCE = 2_000
# Rows that a reader holds at once, at most: a few tens of megabytes of text.
ROW_GROUP = 50_000
# As pandas would write it, to the byte.
SCHEMA = pa.Schema.from_pandas(pd.DataFrame({"id": [], "text": []}, dtype=str), preserve_index=False)
GRADES = np.iinfo(np.int16)


def write_texts(path: str | Path, texts: Iterable[tuple[str, str]], source: str | Path, total: int | None = None) -> int:
    """Write passages or queries, given as (id, text), and return how many there are.

    total: how many are expected, where that is known, for the progress in the log. Memory: a row group, and 16 bytes a text.
    Raises InputError: no text, an id that is empty, repeated or has a blank in it, half a surrogate pair.
    """
    hashes: list[np.ndarray] = []
    rate = Rate(total, "texts") if total else None
    left = iter(texts)
    with replacing(path) as (partial,):
        with pq.ParquetWriter(partial, SCHEMA) as writer:
            while rows := list(islice(left, ROW_GROUP)):
                ids = [row[0] for row in rows]
                for name in ids:
                    if name.split() != [name]:
                        raise _unusable(name, source)
                writer.write_table(_row_group(rows, source))
                hashes.append(np.fromiter(map(hash, ids), np.int64, len(ids)))
                if rate:
                    rate.advance(len(ids))
        if not hashes:
            raise InputError(f"{source}: found no texts.")
        _check_repeated(partial, np.concatenate(hashes), source)
    written = sum(map(len, hashes))
    logger.info("%s: %s texts", source, f"{written:,}")
    return written


def write_queries(path: str | Path, queries: Iterable[tuple[str, str]], source: str | Path) -> None:
    """Write queries, given as (id, text). Raises InputError also when a query has no text, which no retriever can answer."""

    def checked() -> Iterator[tuple[str, str]]:
        for query, text in queries:
            if not text.strip():
                raise InputError(f"{source}: query {query!r} is empty; give it a text or leave it out of the query set.")
            yield query, text

    write_texts(path, checked(), source)


def write_qrels(path: str | Path, judgements: list[tuple[str, str, int]], source: str | Path) -> None:
    """Write (query id, passage id, grade); a line that repeats another is left out and counted.

    Raises InputError when no passage is relevant, a pair is judged twice with different grades, or a grade is out of range.
    """
    for query, passage, grade in judgements:
        if not GRADES.min <= grade <= GRADES.max:
            raise InputError(f"{source}: query {query!r}, passage {passage!r}: grade {grade} is out of range ({GRADES}).")
    given = pd.DataFrame(judgements, columns=["query", "passage", "grade"])
    table = given.drop_duplicates()
    if len(table) < len(given):
        logger.warning("%s: %s judgements are there more than once", source, f"{len(given) - len(table):,}")
    if not (table["grade"] > 0).any():
        raise InputError(
            f"{source}: none of its {len(table)} judgements has a grade above 0; nothing could be measured with it."
        )
    twice = table.duplicated(["query", "passage"])
    if twice.any():
        query, passage, _ = table[twice].iloc[0]
        raise InputError(f"{source}: passage {passage!r} is judged twice for query {query!r}.")
    with replacing(path) as (partial,):
        table.astype({"grade": "int16"}).to_parquet(partial, index=False)


def count_texts(path: str | Path) -> int:
    """How many passages or queries there are."""
    return int(pq.ParquetFile(path).metadata.num_rows)


def stream_rows(path: str | Path, start: int = 0, stop: int | None = None) -> Iterator[tuple[list[str], list[str]]]:
    """The ids and texts of the rows from `start` up to `stop` in order, a few thousand at a time.

    stop: None for the last. Reads only the row groups that hold these rows.
    """
    for batch in _batches(path, ["id", "text"], start, stop):
        yield batch.column("id").to_pylist(), batch.column("text").to_pylist()


def stream_texts(path: str | Path, start: int = 0, stop: int | None = None) -> Iterator[list[str]]:
    """The texts of `stream_rows`."""
    for batch in _batches(path, ["text"], start, stop):
        yield batch.column("text").to_pylist()


def stream_ids(path: str | Path, start: int = 0, stop: int | None = None) -> Iterator[list[str]]:
    """The ids of `stream_rows`."""
    for batch in _batches(path, ["id"], start, stop):
        yield batch.column("id").to_pylist()


def read_texts(path: str | Path) -> pl.DataFrame:
    """Read passages or queries, all at once: for query sets and small collections."""
    return pl.read_parquet(path, columns=["id", "text"])


def read_ids(path: str | Path) -> pl.Series:
    """The ids of passages or queries, by row."""
    return pl.read_parquet(path, columns=["id"])["id"]


def read_qrels(path: str | Path) -> pl.DataFrame:
    """Read relevance judgements: query, passage, grade."""
    return pl.read_parquet(path, columns=["query", "passage", "grade"])


def _row_group(rows: list[tuple[str, str]], source: str | Path) -> pa.Table:
    try:
        return pa.table([pa.array(column, pa.large_string()) for column in zip(*rows, strict=True)], schema=SCHEMA)
    except UnicodeEncodeError as error:
        name = next(name for name, text in rows if any("\ud800" <= character <= "\udfff" for character in name + text))
        raise InputError(
            f"{source}: id {name!r}: the text contains half of a surrogate pair, which is not a character."
        ) from error


def _check_repeated(path: Path, hashes: np.ndarray, source: str | Path) -> None:
    """Refuse repeated ids. Hashes of ids that differ are seldom equal: only where some are, the ids are compared."""
    hashes.sort()
    if (hashes[1:] == hashes[:-1]).any():
        seen: set[str] = set()
        for ids in stream_ids(path):
            for name in ids:
                if name in seen:
                    raise _unusable(name, source)
                seen.add(name)


def _unusable(name: str, source: str | Path) -> InputError:
    return InputError(f"{source}: id {name!r} is empty, repeated or holds a blank; TREC files cannot carry it.")


def _batches(path: str | Path, columns: list[str], start: int, stop: int | None) -> Iterator[pa.RecordBatch]:
    # One row group at a time: of several that are asked for at once, pyarrow reads all ahead.
    file = pq.ParquetFile(path)
    row = 0
    stop = file.metadata.num_rows if stop is None else stop
    for group in range(file.num_row_groups):
        size = file.metadata.row_group(group).num_rows
        if row + size > start and row < stop:
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, row_groups=[group], columns=columns):
                skipped = max(start - row, 0)
                part = batch.slice(skipped, max(min(stop - row, batch.num_rows) - skipped, 0))
                row += batch.num_rows
                if part.num_rows:
                    yield part
        else:
            row += size
