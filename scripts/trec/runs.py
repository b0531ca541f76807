"""TREC runs: strict reading, one tie rule, and writing.

A run in memory is a DataFrame with the columns query, passage (strings) and score (float32), in run order: queries as
they first appear, and within a query by falling score. Passages of equal score stand in falling order of their id, as in
trec_eval, which also compares scores in single precision; ranks in a file are ignored, as there. Every run read or
written here is in that order, so no measure ever meets a tie of its own.
"""

import gzip
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from jobs.errors import InputError
from jobs.files import replacing

COLUMNS = ["query", "Q0", "passage", "rank", "score", "tag"]


def in_run_order(run: pd.DataFrame) -> pd.DataFrame:
    """Sort a run by query (first appearance), falling score in single precision, falling passage id."""
    query = pd.Series(pd.factorize(run["query"])[0], index=run.index)
    ordered = run.assign(score=run["score"].astype(np.float32), _query=query).sort_values(
        ["_query", "score", "passage"], ascending=[True, False, False], kind="stable"
    )
    return ordered.drop(columns="_query").reset_index(drop=True)


def read_run(path: str | Path, depth: int | None = None) -> pd.DataFrame:
    """Read a TREC run (also .gz) in run order, each query cut at `depth` passages.

    Raises InputError naming file and line: a line without six columns, a score that is not a finite number, a passage
    twice for a query; or when the run is empty.
    """
    with gzip.open(path, "rt", encoding="utf-8") if str(path).endswith(".gz") else open(path, encoding="utf-8") as stream:
        fields = [line.split() for line in stream]
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


def cut(run: pd.DataFrame, depth: int) -> pd.DataFrame:
    """The first `depth` passages of every query of a run in run order."""
    return run[run.groupby("query", sort=False).cumcount() < depth].reset_index(drop=True)


def write_run(path: str | Path, run: pd.DataFrame, tag: str) -> None:
    """Write a run in run order as TREC lines with ranks from 1; scores keep every digit of single precision."""
    ordered = in_run_order(run)
    ranks = ordered.groupby("query", sort=False).cumcount() + 1
    columns = zip(ordered["query"], ordered["passage"], ranks, ordered["score"], strict=True)
    with replacing(path) as (partial,), open(partial, "w", encoding="utf-8") as stream:
        stream.writelines(f"{query} Q0 {passage} {rank} {score:.9g} {tag}\n" for query, passage, rank, score in columns)


def rows_of(ids: pd.Series, known: pd.Index, source: str | Path, what: str) -> npt.NDArray[np.int32]:
    """The row of each id in the table of known ids, (ids,) int32. Raises InputError naming the first unknown one."""
    rows = known.get_indexer(pd.Index(ids)).astype(np.int32)
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
