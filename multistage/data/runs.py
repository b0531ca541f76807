"""TREC runs: strict reading, one tie rule, and writing.

A run in memory is a DataFrame with the columns query, passage (strings) and score (float32), in run order: queries as
they first appear, and within a query by falling score. Passages of equal score stand in falling order of their id, as in
trec_eval, which also compares scores in single precision; ranks in a file are ignored, as there. Every run read or
written here is in that order, so no measure ever meets a tie of its own.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from multistage.data.packed import open_text
from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing

COLUMNS = ["query", "Q0", "passage", "rank", "score", "tag"]


def in_run_order(run: pd.DataFrame) -> pd.DataFrame:
    """Sort a run by query (first appearance), falling score in single precision, falling passage id."""
    query = pd.Series(pd.factorize(run["query"])[0], index=run.index)
    ordered = run.assign(score=run["score"].astype(np.float32), _query=query).sort_values(
        ["_query", "score", "passage"], ascending=[True, False, False], kind="stable"
    )
    return ordered.drop(columns="_query").reset_index(drop=True)


def read_run(path: str | Path, depth: int | None = None, queries: int | None = None) -> pd.DataFrame:
    """Read a TREC run (also .gz) in run order, each query cut at `depth` passages.

    queries: read the first so many queries, up to the first line of another.
    Raises InputError naming file and line: a line without six columns, a score that is not a finite number, a passage
    twice for a query; or when the run is empty, absent, damaged or not UTF-8.
    """
    with open_text(path) as stream:
        fields = list(_first_queries((line.split() for line in stream), queries))
    for number, columns in enumerate(fields):
        if len(columns) != len(COLUMNS):
            raise _bad_line(path, number, f"{len(columns)} columns", "")
    if not fields:
        raise InputError(f"{path}: the run is empty. A TREC run has one line per query and passage: {' '.join(COLUMNS)}.")
    table = pd.DataFrame(fields, columns=COLUMNS)
    scores = pd.to_numeric(table["score"], errors="coerce")
    wrong = ~np.isfinite(scores)
    if wrong.any():
        number = int(wrong.to_numpy().argmax())
        raise _bad_line(path, number, f"score {table['score'][number]!r} is not a finite number", "")
    run = pd.DataFrame({"query": table["query"], "passage": table["passage"], "score": scores})
    repeated = run.duplicated(["query", "passage"])
    if repeated.any():
        number = int(repeated.to_numpy().argmax())
        query, passage = run["query"][number], run["passage"][number]
        raise _bad_line(path, number, f"passage {passage!r} stands twice for query {query!r}", "A passage stands once. ")
    run = in_run_order(run)
    return run if depth is None else cut(run, depth)


def _first_queries(fields: Iterable[list[str]], limit: int | None) -> Iterator[list[str]]:
    """The lines up to that of one query more than `limit`."""
    seen: set[str] = set()
    for columns in fields:
        seen.update(columns[:1])
        if limit is not None and len(seen) > limit:
            return
        yield columns


def cut(run: pd.DataFrame, depth: int) -> pd.DataFrame:
    """The first `depth` passages of every query of a run in run order."""
    return run[run.groupby("query", sort=False).cumcount() < depth].reset_index(drop=True)


def write_run(path: str | Path, run: pd.DataFrame, tag: str) -> None:
    """Write a run in run order as TREC lines with ranks from 1; scores keep every digit of single precision."""
    write_runs(path, [run], tag)


def write_runs(path: str | Path, runs: Iterable[pd.DataFrame], tag: str) -> None:
    """Write several runs as one, as `write_run` does, each as it comes; no query may be in two of them."""
    with replacing(path) as (partial,), open(partial, "w", encoding="utf-8") as stream:
        for run in runs:
            ordered = in_run_order(run)
            ranks = ordered.groupby("query", sort=False).cumcount() + 1
            columns = zip(ordered["query"], ordered["passage"], ranks, ordered["score"], strict=True)
            stream.writelines(f"{query} Q0 {passage} {rank} {score:.9g} {tag}\n" for query, passage, rank, score in columns)


def arrow_ids(ids: pd.Index | pd.Series) -> pa.LargeStringArray:
    """Ids as one Arrow array, however pandas keeps them, without a copy where it keeps them so."""
    parts = pa.array(ids.array, type=pa.large_string())
    return pa.concat_arrays(parts.chunks) if isinstance(parts, pa.ChunkedArray) else parts


def rows_of(ids: pd.Series, known: pd.Index, source: str | Path, what: str) -> npt.NDArray[np.int32]:
    """The row of each id in the table of known ids, (ids,) int32. Raises InputError naming the first unknown one."""
    # In Arrow, which makes no Python object of an id, with a hash table of those asked for: a collection may have millions.
    wanted = arrow_ids(ids).dictionary_encode()
    found = pc.index_in(arrow_ids(known), value_set=wanted.dictionary)
    places = np.full(len(wanted.dictionary), -1, dtype=np.int32)
    places[found.drop_null().to_numpy()] = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
    rows = places[wanted.indices.to_numpy()]
    if (rows < 0).any():
        first = ids.iloc[int(np.argmax(rows < 0))]
        raise InputError(
            f"{source}: {what} {first!r} is not in the collection ({int((rows < 0).sum()):,} of {len(rows):,} ids are not); "
            "run and collection must come from the same source."
        )
    return rows


def _bad_line(path: str | Path, index: int, found: str, hint: str) -> InputError:
    return InputError(
        f"{path}, line {index + 1}: {found}.\nA TREC run has six columns: {', '.join(COLUMNS)}. {hint}"
        "If the workflow made this file, delete it to have it made again."
    )
