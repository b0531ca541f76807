"""TREC runs, read and written with Polars: one reader, one writer, one order.

A run in memory is a frame with the columns query, passage and score (float32), in run order: queries as they first appear in
the file, and within a query by falling score. Passages of equal score stand in falling order of their id, compared as strings,
as in trec_eval, which also compares scores in single precision; ranks in a file are ignored, as there. Every run read or
written here is in that order, so no measure ever meets a tie of its own.
"""

import re
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from multistage.data.packed import line_of, plain_file
from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing
from multistage.jobs.log import logger

RUN = {"query": pl.String, "passage": pl.String, "score": pl.Float32}
COLUMNS = ["query", "Q0", "passage", "rank", "score", "tag"]
# Fields are separated by what C's isspace takes for blank, as in trec_eval; a tag may have several words.
BLANK, FIELD = r"[ \t\r\v\f]", r"[^ \t\r\v\f]+"
# Lines in memory at once: a few hundred megabytes.
LINES_AT_ONCE = 4_000_000
# Queries that are written together.
QUERIES_AT_ONCE = 2_000
# Numbers for each id at most in a table that is addressed by the ids' values.
SPARSE = 4
HINT = f"A TREC run has six columns: {', '.join(COLUMNS)}. If the workflow made this file, delete it to have it made again."
SKIPPED = rf"^{BLANK}*(#|$)"


def read_run(
    paths: str | Path | Sequence[str | Path],
    depth: int | None = None,
    *,
    queries: pl.Series | None = None,
    passages: pl.Series | None = None,
    keep_unknown: bool = False,
) -> pl.DataFrame:
    """Read a TREC run of any size, packed or not, in run order, each query cut at `depth` passages.

    paths: a file, or several that share no passage of a query, such as those of a collection's parts: of these, the result is
    the `depth` best of all. Memory: one of them beside the result.
    queries, passages: ids by row. Where they are given, the column holds rows (int32) in place of ids, and lines of other
    queries are left out and counted in the log. keep_unknown: a passage that is not in `passages` gets row -1; else it is an
    error. Blank lines and lines that begin with # are skipped.
    Raises InputError naming file and line: fewer than six columns, a score that is not a finite number in single precision, a
    passage twice for a query, a passage that is not in `passages`, text that is not UTF-8; or when a file is empty, absent or
    damaged, or none of its queries is in `queries`.
    """
    names = [paths] if isinstance(paths, (str, Path)) else paths
    query_rows, passage_rows = (None if known is None else _finder(known) for known in (queries, passages))
    # Ties are ordered by a number, the passage's rank among all ids, where all ids are known.
    ranks = None if passages is None or keep_unknown else passages.rank("ordinal")
    merged, others = list[pl.DataFrame](), set[str]()

    def best_of(lines: pl.DataFrame) -> pl.DataFrame:
        """The best passages of each query in some lines of a file; queries that are not in the query set join the others."""
        if query_rows is not None:
            found = query_rows(lines["query"])
            others.update(lines["query"].filter(found.is_null()).unique())
            lines = lines.with_columns(query=found).filter(found.is_not_null())
        row = lines["passage"] if passage_rows is None else passage_rows(lines["passage"])
        tie = lines["passage"] if ranks is None else ranks.gather(row)
        unknown = row.is_null() & (not keep_unknown)
        return _best(lines.select("number", "score", query_row="query", passage_row=row, tie=tie, wrong=unknown), depth)

    for path in names:
        with plain_file(path) as file:
            parts, lines = [], 0
            for part in _scan_fields(file).collect_batches(chunk_size=LINES_AT_ONCE, maintain_order=True, engine="streaming"):
                for number in part.filter(pl.col("score").is_null())["number"].head(1):
                    raise _bad_line(path, number)
                parts.append(best_of(part))
                lines += len(part)
            if not lines:
                raise InputError(f"{path}: the run is empty. {HINT}")
            own = _merged(parts, depth)
            if queries is not None and own.is_empty():
                raise InputError(
                    f"{path}: none of its {len(others):,} queries, such as {min(others)!r}, is in the query set, "
                    f"whose first is {queries[0]!r}; run and query set must come from the same source."
                )
            for query in own.filter("wrong").sort("number")["query_row"].head(1):
                of_query = _scan_fields(file).filter(pl.col("query") == (query if queries is None else queries[query]))
                raise _bad_passage(path, of_query.collect(engine="streaming"), passages)
        after = own.with_columns(pl.col("number") + sum(map(len, merged)))
        rankings = _merged([*merged, after], depth).sort("number")
        merged = [rankings.with_columns(number=pl.int_range(pl.len(), dtype=pl.UInt32))]
    rankings = merged[0].select(query="query_row", passage="passage_row", score="score")
    run, told = rankings.explode("passage", "score"), f"{names[0]}{f' and {len(names) - 1} more' * (len(names) > 1)}"
    logger.info(f"{told}: {len(run):,} passages of {len(rankings):,} queries")
    if queries is not None and not keep_unknown:  # else it is measured, and what is not judged is told with the query set
        if others:
            logger.warning(f"{told}: {len(others):,} queries left out: they are not in the query set")
        if lacking := len(queries) - len(rankings):
            logger.warning(f"{told}: {lacking:,} queries without a ranking: they count as zero and are not trained on")
    rows = [name for name, known in (("query", queries), ("passage", passages)) if known is not None]
    return run.with_columns(pl.col(rows).cast(pl.Int32).fill_null(-1))


def scan_lines(file: Path) -> pl.LazyFrame:
    """The lines of a plain text file, as line, and the number of each, from 1; without those that are blank or begin with #."""
    lines = pl.scan_lines(file, row_index_name="number", row_index_offset=1)
    return lines.with_columns(pl.col("line").str.strip_prefix("\ufeff")).filter(~pl.col("line").str.contains(SKIPPED))


def columns_pattern(columns: Iterable[str], wanted: Container[str]) -> str:
    """What a line with these columns begins with, as a regular expression with a group for each that is wanted."""
    return rf"^{BLANK}*" + rf"{BLANK}+".join(rf"(?<{name}>{FIELD})" if name in wanted else FIELD for name in columns)


def in_run_order(run: pl.DataFrame) -> pl.DataFrame:
    """Sort a run by query (first appearance), falling score in single precision, falling passage id."""
    numbered = run.with_columns(pl.col("score").cast(pl.Float32)).with_row_index("number")
    order = (pl.col("number").min().over("query"), "score", "passage")
    return numbered.sort(*order, descending=[False, True, True]).drop("number")


def with_ids(run: pl.DataFrame, queries: pl.Series, passages: pl.Series) -> pl.DataFrame:
    """A run of rows as one of ids, given those that the rows are of."""
    return run.with_columns(query=queries.gather(run["query"]), passage=passages.gather(run["passage"]))


def in_parts(run: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """A run in run order some queries at a time, to be written without all of it as text in memory."""
    starts = np.flatnonzero(ranks_of(run["query"].to_numpy()) == 0)
    for start, stop in pairwise([*starts[::QUERIES_AT_ONCE].tolist(), len(run)]):
        yield run[start:stop]


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
    """Write several runs as one, as `write_run` does, each as it comes; no query may be in two of them.

    Raises InputError naming the first score that is not finite.
    """
    with replacing(path) as (partial,), open(partial, "wb") as stream:
        for run in runs:
            ordered = in_run_order(run)
            for query, passage, score in ordered.filter(~pl.col("score").is_finite()).select(*RUN).head(1).iter_rows():
                raise InputError(
                    f"{path}: {tag} gives passage {passage!r} of query {query!r} the score {score}; is it damaged?"
                )
            score = pl.Series(map("{:.9g}".format, ordered["score"]), dtype=pl.String)
            rank = pl.int_range(1, pl.len() + 1).over("query")
            lines = ordered.select("query", pl.lit("Q0").alias("Q0"), "passage", rank=rank, score=score, tag=pl.lit(tag))
            lines.write_csv(stream, include_header=False, separator=" ", quote_style="never")


def rows_of(ids: pl.Series, known: pl.Series, source: str | Path, what: str) -> npt.NDArray[np.int32]:
    """The row of each id in the table of known ids, (ids,) int32. Raises InputError naming the first unknown one."""
    rows = _finder(known)(ids)
    if unknown := rows.null_count():
        first = ids.filter(rows.is_null())[0]
        raise InputError(
            f"{source}: {what} {first!r} is not in the collection ({unknown:,} of {len(rows):,} ids are not); "
            "run and collection must come from the same source."
        )
    return rows.cast(pl.Int32).to_numpy()


def _merged(parts: Sequence[pl.DataFrame], depth: int | None) -> pl.DataFrame:
    """What `_best` gives of all the lines that `parts` are the best of."""
    rankings = pl.concat(parts)
    again = rankings["query_row"].is_duplicated()
    if not again.any():
        return rankings
    whole = _best(rankings.filter(again).explode("passage_row", "tie", "score"), depth)
    return pl.concat([rankings.filter(~again), whole])


def _best(lines: pl.DataFrame, depth: int | None) -> pl.DataFrame:
    """The best passages of each query as lists, and whether one of its passages is wrong or stands there twice."""
    ranked = pl.col("passage_row", "tie", "score").sort_by("score", "tie", descending=True)
    return lines.group_by("query_row").agg(
        pl.col("number").min(),
        ranked.head(pl.len() if depth is None else depth),
        wrong=pl.col("wrong").any() | (pl.col("tie").n_unique() < pl.len()),
    )


def _scan_fields(file: Path) -> pl.LazyFrame:
    """The lines of a run: number (from 1), query, passage and score; all null but the number, or the score, where wrong."""
    fields = pl.col("line").str.extract_groups(columns_pattern(COLUMNS, RUN))
    several = pl.col("line").str.strip_chars_end("\r").str.contains("\r", literal=True)
    lines = scan_lines(file).select("number", fields, several=several).unnest("line")
    score = pl.col("score").cast(pl.Float64, strict=False).cast(pl.Float32)
    return lines.select("number", "query", "passage", score=pl.when(score.is_finite() & ~pl.col("several")).then(score))


def _finder(known: pl.Series) -> Callable[[pl.Series], pl.Series]:
    """What gives the row of each id, null where it is not known.

    By value where all known ids are numbers, as MS MARCO's are: ten times as fast as by a join.
    """
    table, numbers = pl.DataFrame({"id": known}).with_row_index("row"), _numbers(known)
    largest = int(numbers.max() or 0)  # type: ignore[arg-type]
    if numbers.has_nulls() or largest >= SPARSE * len(known):
        return lambda ids: pl.DataFrame({"id": ids}).join(table, on="id", how="left", maintain_order="left")["row"]
    slots = pl.Series([None], dtype=pl.UInt32).new_from_index(0, largest + 1).scatter(numbers, table["row"])
    return lambda ids: slots.gather(_numbers(ids), null_on_oob=True)


def _numbers(ids: pl.Series) -> pl.Series:
    """Ids that are whole numbers, written without a sign or leading zeros, as such; others are null."""
    numbers = ids.cast(pl.UInt32, strict=False)
    return numbers.set(numbers.cast(pl.String).ne_missing(ids), None)


def _bad_line(path: str | Path, number: int) -> InputError:
    """What is wrong with a line that does not have six columns and a score."""
    line = line_of(path, number).rstrip()
    fields = re.findall(FIELD, line)
    wrong = f"score {fields[4]!r} is not a finite number in single precision" if len(fields) >= len(COLUMNS) else None
    wrong = "several lines in one, for \\r ends none" if "\r" in line else wrong or f"{len(fields)} columns"
    return InputError(f"{path}, line {number}: {wrong}. {HINT}")


def _bad_passage(path: str | Path, lines: pl.DataFrame, passages: pl.Series | None) -> InputError:
    """What is wrong with the passages of a query. lines: its own (number, query, passage)."""
    unknown = lines.clear() if passages is None else lines.filter(~pl.col("passage").is_in(passages.implode()))
    repeated = lines.filter(~pl.col("passage").is_first_distinct())
    number, query, passage = (unknown if len(unknown) else repeated).sort("number").row(0)[:3]
    wrong = f"{path}, line {number}: passage {passage!r} of query {query!r}"
    if len(unknown):
        return InputError(f"{wrong} is not in the collection; run and collection must come from the same source.")
    return InputError(f"{wrong} stands there twice. {HINT}")
