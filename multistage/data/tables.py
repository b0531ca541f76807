"""The Parquet tables that everything downstream reads.

passages, queries: columns id, text (strings), one line a text; the line number is the row that stores and groups use.
qrels: columns query, passage (ids), grade (int).

Texts are written and read in parts, so that a collection of any size takes little memory.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from multistage.jobs.errors import InputError
from multistage.jobs.files import readable, replacing
from multistage.jobs.log import Rate, logger

ROWS_AT_ONCE = 2_000
# Rows that a reader holds at once, at most: a few tens of megabytes of text.
ROW_GROUP = 50_000
SCHEMA = pa.schema({"id": pa.large_string(), "text": pa.large_string()})
QRELS = {"query": pl.String, "passage": pl.String, "grade": pl.Int64}
GRADES = np.iinfo(np.int16)


class QuerySet(NamedTuple):
    """Queries as (id, text), and judgements with the columns of QRELS, as a source has them."""

    queries: Iterable[tuple[str, str]]
    judgements: pl.DataFrame


def write_texts(path: str | Path, texts: Iterable[tuple[str, str]], source: str | Path, total: int | None = None) -> int:
    """Write passages or queries, given as (id, text), and return how many there are.

    total: how many are expected, where that is known, for the progress in the log. Memory: a row group, and the ids.
    Raises InputError: no text, an id that is empty, repeated or has a blank in it, half a surrogate pair.
    """
    rate = Rate(total, "texts") if total else None
    left = iter(texts)
    with replacing(path) as (partial,):
        with pq.ParquetWriter(partial, SCHEMA) as writer:
            while rows := list(islice(left, ROW_GROUP)):
                writer.write_table(_row_group(rows, source))
                if rate:
                    rate.advance(len(rows))
        ids = read_ids(partial)
        if ids.is_empty():
            raise InputError(f"{source}: it has no texts; a collection or query set needs one at least.")
        for wrong, what in (
            ((ids == "") | ids.str.contains(r"\s"), "is empty or holds a blank; TREC files cannot carry it"),
            (ids.is_duplicated(), "is there more than once; ids must differ"),
        ):
            for name in ids.filter(wrong).head(1):
                raise InputError(f"{source}: id {name!r} {what}.")
    logger.info(f"{source}: {len(ids):,} texts")
    return len(ids)


def write_queries(path: str | Path, queries: Iterable[tuple[str, str]], source: str | Path) -> None:
    """Write queries, given as (id, text). Raises InputError also when a query has no text, which no retriever can
    answer, or an id that would make comments of its lines in a run."""

    def checked() -> Iterator[tuple[str, str]]:
        for query, text in queries:
            if not text.strip():
                raise InputError(f"{source}: query {query!r} is empty; give it a text or leave it out of the query set.")
            if query.startswith("#"):
                raise InputError(f"{source}: id {query!r} begins with #, as comments in TREC files do; give it another id.")
            yield query, text

    write_texts(path, checked(), source)


def write_qrels(path: str | Path, given: pl.DataFrame, source: str | Path, relevance: int = 1) -> None:
    """Write judgements, which have the columns of QRELS. Raises InputError as `checked_qrels` does."""
    table = checked_qrels(given, source, relevance)
    with replacing(path) as (partial,):
        table.write_parquet(partial)


def checked_qrels(given: pl.DataFrame, source: str | Path, relevance: int = 1) -> pl.DataFrame:
    """Judgements without the lines that repeat another, which are counted in the log.

    relevance: the least grade that counts as relevant. Raises InputError when no grade reaches it, a pair is judged twice with
    different grades, or a grade is out of range.
    """
    table = given.unique(maintain_order=True)
    if repeated := len(given) - len(table):
        logger.warning(f"{source}: {repeated:,} judgements left out: they are there already")
    if not (table["grade"] >= relevance).any():
        largest = "" if table.is_empty() else f"; the largest is {table['grade'].max()!r}"
        raise InputError(
            f"{source}: none of {len(table):,} judgements has a grade of {relevance} or more, which is the query set's "
            f"relevance{largest}. Nothing could be learned or measured: change the relevance in the config, or the judgements."
        )
    in_range = pl.col("grade").is_between(GRADES.min, GRADES.max)
    for query, passage, grade in table.filter(~in_range).head(1).iter_rows():
        raise InputError(
            f"{source}: query {query!r}, passage {passage!r}: grade {grade} is not between {GRADES.min} and {GRADES.max}."
        )
    for query, passage, _ in table.filter(~pl.struct("query", "passage").is_first_distinct()).head(1).iter_rows():
        raise InputError(f"{source}: passage {passage!r} is judged twice for query {query!r}; keep one of the two grades.")
    return table.cast({"grade": pl.Int16})


def count_texts(path: str | Path) -> int:
    """How many passages or queries there are."""
    with readable(path):
        return int(pq.ParquetFile(path).metadata.num_rows)


def stream_rows(path: str | Path, start: int = 0, stop: int | None = None) -> Iterator[tuple[list[str], list[str]]]:
    """The ids and texts of the rows from `start` up to `stop` (None: the last) in order, a few thousand at a time."""
    with readable(path):
        rows = _scan(path, "id", "text").slice(start, None if stop is None else stop - start)
        for batch in map(_whole, rows.collect_batches(chunk_size=ROWS_AT_ONCE, maintain_order=True)):
            yield batch["id"].to_list(), batch["text"].to_list()


def stream_texts(path: str | Path, start: int = 0, stop: int | None = None) -> Iterator[list[str]]:
    """The texts of `stream_rows`."""
    return (texts for _, texts in stream_rows(path, start, stop))


def read_texts(path: str | Path, start: int = 0, rows: int | None = None) -> pl.DataFrame:
    """Read passages or queries at once, of a large collection some rows."""
    return _read(path, "id", "text", start=start, rows=rows)


def read_ids(path: str | Path, start: int = 0, rows: int | None = None) -> pl.Series:
    """The ids of passages or queries, by row."""
    return _read(path, "id", start=start, rows=rows)["id"]


def texts_of(path: str | Path, ids: pl.Series) -> dict[str, str]:
    """The texts of some passages or queries, by id."""
    with readable(path):
        found = _scan(path, "id", "text").filter(pl.col("id").is_in(ids.unique().implode()))
        return dict(found.collect(engine="streaming").iter_rows())


def read_qrels(path: str | Path) -> pl.DataFrame:
    """Read relevance judgements: query, passage, grade."""
    return _read(path, "query", "passage", "grade")


def _scan(path: str | Path, *columns: str) -> pl.LazyFrame:
    """Columns of a table, not read yet. Raises ValueError where they hold other types."""
    table = pl.scan_parquet(path).select(columns)
    for name, kind in table.collect_schema().items():
        if not (kind.is_integer() if name == "grade" else kind == pl.String):
            raise ValueError(f"column {name} holds {kind}")
    return table


def _read(path: str | Path, *columns: str, start: int = 0, rows: int | None = None) -> pl.DataFrame:
    with readable(path):
        return _whole(_scan(path, *columns).slice(start, rows).collect())


def _whole(table: pl.DataFrame) -> pl.DataFrame:
    """A table with a value in each place, or ValueError."""
    for column in table.iter_columns():
        if column.has_nulls():
            raise ValueError(f"column {column.name} lacks values")
    return table


def _row_group(rows: list[tuple[str, str]], source: str | Path) -> pa.Table:
    try:
        return pa.table([pa.array(column, pa.large_string()) for column in zip(*rows, strict=True)], schema=SCHEMA)
    except UnicodeEncodeError as error:
        name = next(name for name, text in rows if any("\ud800" <= character <= "\udfff" for character in name + text))
        raise InputError(
            f"{source}: id {name!r}: the text contains half of a surrogate pair, which is not a character."
        ) from error
