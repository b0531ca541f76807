"""TREC runs, read and written with Polars: one reader, one writer, one order.

A run in memory is a frame with the columns query, passage and score (float32), in run order: queries as they first appear in
the file, and within a query by falling score. Passages of equal score stand in falling order of their id, compared as strings,
as in trec_eval, which also compares scores in single precision; ranks in a file are ignored, as there. Every run read or
written here is in that order, so no measure ever meets a tie of its own.
"""

import logging
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import numpy.typing as npt
import polars as pl

from multistage.data.packed import open_binary
from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing

logger = logging.getLogger("jobs")

RUN = {"query": pl.String, "passage": pl.String, "score": pl.Float32}
COLUMNS = ["query", "Q0", "passage", "rank", "score", "tag"]
# Fields are separated by what C's isspace takes for blank, as in trec_eval; a tag may have several words.
BLANK, FIELD = r"[ \t\r\v\f]", r"[^ \t\r\v\f]+"
LINE = rf"^{BLANK}*" + rf"{BLANK}+".join(
    rf"(?<{name}>{FIELD})" if name in ("query", "passage", "score") else FIELD for name in COLUMNS
)
HINT = f"A TREC run has six columns: {', '.join(COLUMNS)}. If the workflow made this file, delete it to have it made again."
SKIPPED = rf"^{BLANK}*(#|$)"


def read_run(
    path: str | Path,
    depth: int | None = None,
    *,
    queries: pl.Series | None = None,
    passages: pl.Series | None = None,
    keep_unknown: bool = False,
) -> pl.DataFrame:
    """Read a TREC run of any size, plain, gzip or zip, in run order, each query cut at `depth` passages.

    queries, passages: ids by row. Where they are given, the column holds rows (int32) in place of ids, and lines of other
    queries are left out and counted in the log. keep_unknown: a passage that is not in `passages` gets row -1; else it is an
    error. Blank lines and lines that begin with # are skipped.
    Raises InputError naming file and line: fewer than six columns, a score that is not a finite number in single precision, a
    passage twice for a query, a passage that is not in `passages`, text that is not UTF-8; or when the run is empty, absent or
    damaged, or none of its queries is in `queries`.
    """
    start = time.perf_counter()
    with _plain(path) as file:
        lines = _with_rows(_scan(file), "query", queries)
        other = pl.col("query").filter(pl.col("query_row").is_null())
        counts = lines.select(
            lines=pl.len(),
            wrong=pl.col("number").filter(pl.col("score").is_null()).min(),
            others=other.n_unique(),
            other=other.min(),
        )
        wanted = _with_rows(lines.filter(pl.col("query_row").is_not_null()), "passage", passages)
        # Ties are ordered by a number, the passage's rank among all ids, where all ids are known.
        tie = "passage" if passages is None or keep_unknown else "passage_rank"
        rankings = wanted.group_by("query_row").agg(
            pl.col("number").min(),
            pl.col("passage_row", "score").sort_by("score", tie, descending=True).head(pl.len() if depth is None else depth),
            wrong=(pl.col("passage_row").has_nulls() & (not keep_unknown)) | (pl.col(tie).n_unique() < pl.len()),
        )
        try:
            count, found = pl.collect_all([counts, rankings], engine="streaming")
        except pl.exceptions.ComputeError as error:
            raise _undecodable(path, file, error) from error
        total, wrong, others, other_query = count.row(0)
        if wrong is not None:
            raise _bad_line(path, file, wrong)
        if not total:
            raise InputError(f"{path}: the run is empty. {HINT}")
        if queries is not None and found.is_empty():
            raise InputError(
                f"{path}: none of its {others:,} queries, such as {other_query!r}, is in the query set, whose first is "
                f"{queries[0]!r}; run and query set must come from the same source."
            )
        found = found.sort("number")
        for query in found.filter("wrong")["query_row"].head(1):
            raise _bad_passage(path, lines.filter(pl.col("query_row") == query).collect(engine="streaming"), passages)
    run = found.select(query="query_row", passage="passage_row", score="score").explode("passage", "score")
    seconds = time.perf_counter() - start
    logger.info("%s: %s passages of %s queries, read in %.1f s", path, f"{len(run):,}", f"{len(found):,}", seconds)
    if others:
        logger.info("%s: %s other queries are not in the query set and were left out", path, f"{others:,}")
    rows = [name for name, ids in (("query", queries), ("passage", passages)) if ids is not None]
    return run.with_columns(pl.col(rows).cast(pl.Int32).fill_null(-1))


def in_run_order(run: pl.DataFrame) -> pl.DataFrame:
    """Sort a run by query (first appearance), falling score in single precision, falling passage id."""
    numbered = run.with_columns(pl.col("score").cast(pl.Float32)).with_row_index("number")
    order = (pl.col("number").min().over("query"), "score", "passage")
    return numbered.sort(*order, descending=[False, True, True]).drop("number")


def with_ids(run: pl.DataFrame, queries: pl.Series, passages: pl.Series) -> pl.DataFrame:
    """A run of rows as one of ids, given those that the rows are of."""
    return run.with_columns(query=queries.gather(run["query"]), passage=passages.gather(run["passage"]))


def cut(run: pl.DataFrame, depth: int) -> pl.DataFrame:
    """The first `depth` passages of every query of a run in run order."""
    return run.filter(pl.int_range(pl.len()).over("query") < depth)


def ranks_of(queries: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """The rank of each row within its query, from 0. queries: (rows,), each query's rows together."""
    starts = np.flatnonzero(np.diff(queries, prepend=-1))
    return np.arange(len(queries)) - np.repeat(starts, np.diff(starts, append=len(queries)))


def write_run(path: str | Path, run: pl.DataFrame, tag: str) -> None:
    """Write a run in run order as TREC lines with ranks from 1; scores keep every digit of single precision."""
    write_runs(path, [run], tag)


def write_runs(path: str | Path, runs: Iterable[pl.DataFrame], tag: str) -> None:
    """Write several runs as one, as `write_run` does, each as it comes; no query may be in two of them."""
    with replacing(path) as (partial,), open(partial, "wb") as stream:
        for run in runs:
            ordered = in_run_order(run)
            score = pl.Series(map("{:.9g}".format, ordered["score"]), dtype=pl.String)
            rank = pl.int_range(1, pl.len() + 1).over("query")
            lines = ordered.select("query", pl.lit("Q0").alias("Q0"), "passage", rank=rank, score=score, tag=pl.lit(tag))
            lines.write_csv(stream, include_header=False, separator=" ", quote_style="never")


def rows_of(ids: pl.Series, known: pl.Series, source: str | Path, what: str) -> npt.NDArray[np.int32]:
    """The row of each id in the table of known ids, (ids,) int32. Raises InputError naming the first unknown one."""
    rows = _with_rows(pl.LazyFrame({what: ids}), what, known).collect()[f"{what}_row"]
    if unknown := rows.null_count():
        first = ids.filter(rows.is_null())[0]
        raise InputError(
            f"{source}: {what} {first!r} is not in the collection ({unknown:,} of {len(rows):,} ids are not); "
            "run and collection must come from the same source."
        )
    return rows.cast(pl.Int32).to_numpy()


def _scan(file: Path) -> pl.LazyFrame:
    """The lines of a run: number (from 1), query, passage and score; all null but the number, or the score, where wrong."""
    line = pl.col("line").str.strip_prefix("\ufeff")
    lines = pl.scan_lines(file, row_index_name="number", row_index_offset=1).filter(~line.str.contains(SKIPPED))
    fields = lines.select("number", line.str.extract_groups(LINE)).unnest("line")
    score = pl.col("score").cast(pl.Float64, strict=False).cast(pl.Float32)
    return fields.with_columns(score=pl.when(score.is_finite()).then(score))


def _with_rows(table: pl.LazyFrame, what: str, known: pl.Series | None) -> pl.LazyFrame:
    """The table with `{what}_row`: the row of the id in the column `what` among the known ones, null where it is not, or the id
    itself where none are given; and `{what}_rank`, from 1, among them as strings. Rows keep their order."""
    if known is None:
        return table.with_columns(pl.col(what).alias(f"{what}_row"))
    ids = pl.LazyFrame({what: known}).with_row_index(f"{what}_row")
    ranked = ids.with_columns(pl.col(what).rank("ordinal").alias(f"{what}_rank"))
    return table.join(ranked, on=what, how="left", maintain_order="left")


@contextmanager
def _plain(path: str | Path) -> Iterator[Path]:
    """The file at `path`, or what is packed in it, for the time being."""
    with open_binary(path) as stream:
        if isinstance(stream, BufferedReader):  # not packed
            yield Path(path)
            return
        with NamedTemporaryFile(suffix=".run") as unpacked:
            shutil.copyfileobj(stream, unpacked, 1 << 20)
            unpacked.flush()
            yield Path(unpacked.name)


def _bad_line(path: str | Path, file: Path, number: int) -> InputError:
    """What is wrong with a line that does not have six columns and a score."""
    with open(file, "rb") as stream:
        fields = next(islice(stream, number - 1, None)).decode(errors="replace").split()
    found = f"{len(fields)} columns" if len(fields) < len(COLUMNS) else f"score {fields[4]!r} is not a finite number"
    return InputError(f"{path}, line {number}: {found}. {HINT}")


def _bad_passage(path: str | Path, lines: pl.DataFrame, passages: pl.Series | None) -> InputError:
    """What is wrong with the passages of a query. lines: its own (number, query, passage)."""
    unknown = lines.clear() if passages is None else lines.filter(~pl.col("passage").is_in(passages.implode()))
    repeated = lines.filter(~pl.col("passage").is_first_distinct())
    number, query, passage = (unknown if len(unknown) else repeated).sort("number").row(0)[:3]
    place = f"{path}, line {number}: passage {passage!r}"
    if len(unknown):
        return InputError(
            f"{place} of query {query!r} is not in the collection; run and collection must come from the same source."
        )
    return InputError(f"{place} stands twice for query {query!r}. {HINT}")


def _undecodable(path: str | Path, file: Path, error: Exception) -> InputError:
    """The first line that is not UTF-8."""
    with open(file, "rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as wrong:
                return InputError(f"{path}, line {number}: not UTF-8 text ({wrong}).")
    return InputError(f"{path}: not a TREC run ({error}). {HINT}")
