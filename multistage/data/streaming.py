"""TREC runs of any size, read in one pass: ids become rows, and memory holds a few pieces of the file at a time.

The file is cut into pieces between queries, which a few threads read; what comes out is in the file's order of queries, however
many they are. The work on lines is in `lines`.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from itertools import cycle
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np
import pandas as pd

from multistage.data.lines import (
    NEWLINE,
    REPEATED,
    SHORTEST,
    Floats,
    Index,
    Lines,
    Places,
    Rows,
    fill_keys,
    fill_slots,
    rank,
    scan,
)
from multistage.data.packed import open_binary
from multistage.data.runs import COLUMNS, arrow_ids
from multistage.jobs.errors import InputError
from multistage.jobs.log import Rate

logger = logging.getLogger("jobs")

PIECE_BYTES = 2 << 20
AHEAD = 2
# Slots for each id at most in a table that is addressed by the ids' values.
SPARSE = 4


@dataclass
class RunCounts:
    """What was found in a run. rows: lines. queries: those of the query set. left_out: queries that are not in it."""

    rows: int = 0
    queries: int = 0
    left_out: int = 0


class Block(NamedTuple):
    """Whole queries of a run, in run order and cut, each (rows,): query rows and passage rows int32, scores float32."""

    queries: Rows
    passages: Rows
    scores: Floats

    def run(self, queries: pd.Index, passages: pd.Index) -> pd.DataFrame:
        """As a run (query, passage, score), given the ids that the rows are of."""
        return pd.DataFrame(
            {"query": queries.take(self.queries), "passage": passages.take(self.passages), "score": self.scores}
        )


class _Piece(NamedTuple):
    """What was read of a piece: all its queries and their first lines, (queries + 1,), the last of which is where it ends."""

    names: list[str]
    first_lines: Places
    known: int
    block: Block


class _WrongLineError(Exception):
    """A line, counted from 0 in its piece, what was found there, and the remedy."""


def stream_candidates(
    path: str | Path,
    queries: pd.Index,
    passages: pd.Index,
    depth: int,
    threads: int = 1,
    counts: RunCounts | None = None,
    keep_unknown: bool = False,
) -> Iterator[Block]:
    """Read a TREC run, in whatever way `open_binary` knows it to be packed, as blocks of whole queries.

    queries, passages: ids by row. depth: passages kept of a query. threads: pieces read at once; what comes out is the same.
    counts: filled in as blocks come, for the caller to read when there are no more.
    keep_unknown: a passage that is not in `passages` is kept, with row -1.
    What `read_run` gives, with rows for ids: within a query by falling score in single precision, equal scores by falling
    passage id. A query that is not in `queries` is left out, and of its lines only columns and scores are checked.
    Raises InputError naming file and line: a line without six columns, a score that is not a finite number, a passage that
    stands twice for a query or, unless such are kept, is not in `passages`, a query whose lines are not consecutive; or when
    the run is empty, or none of its queries is in `queries`.
    """
    counts = RunCounts() if counts is None else counts
    rows_by_id = {name: row for row, name in enumerate(queries.tolist())}
    read = partial(_read, rows_by_id=rows_by_id, index=_index(passages), depth=depth, keep_unknown=keep_unknown)
    rate = Rate(len(queries), "queries")
    seen: set[str] = set()
    with open_binary(path) as stream, ThreadPoolExecutor(threads) as pool:
        pieces = _in_order(pool, read, _pieces(stream, threads + AHEAD), threads + AHEAD)
        while True:
            try:
                piece = next(pieces)
                _check_new(piece, seen)
            except StopIteration:
                break
            except _WrongLineError as error:
                line, found, hint = error.args
                raise InputError(f"{path}, line {counts.rows + line + 1}: {found}.\n{hint}") from None
            counts.rows += int(piece.first_lines[-1])
            counts.queries += piece.known
            counts.left_out += len(piece.names) - piece.known
            if piece.known:
                rate.advance(piece.known, f"{counts.rows:,} rows")
                yield piece.block
    if not counts.rows:
        raise InputError(f"{path}: the run is empty. A TREC run has one line per query and passage: {' '.join(COLUMNS)}.")
    if not counts.queries:
        raise InputError(
            f"{path}: none of its {counts.left_out:,} queries, such as {min(seen)!r}, is in the query set; "
            "run and query set must come from the same source."
        )
    logger.info(
        "%s: %s rows; %s queries, %s more that are not in the query set and were left out",
        *(path, f"{counts.rows:,}", f"{counts.queries:,}", f"{counts.left_out:,}"),
    )


def _index(ids: pd.Index) -> Index:
    """The look-up table of ids."""
    texts = arrow_ids(ids)
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.uint64)[texts.offset : texts.offset + len(ids) + 1]
    data = np.frombuffer(texts.buffers()[2], dtype=np.uint8)
    keys = np.empty(len(ids), dtype=np.uint64)
    fill_keys(data, offsets, keys)
    if keys.max() < SPARSE * len(ids):
        slots = np.full(int(keys.max()) + 1, -1, dtype=np.int32)
        slots[keys] = np.arange(len(ids), dtype=np.int32)
        return Index(data, offsets, keys, slots, direct=True)
    slots = np.full(1 << (len(ids) * 3 // 2).bit_length(), -1, dtype=np.int32)
    fill_slots(keys, slots)
    return Index(data, offsets, keys, slots, direct=False)


class _Room:
    """Memory for a piece and what is found in it. It serves one piece after another: fresh memory takes its time."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.hold(2 * PIECE_BYTES)

    def hold(self, size: int) -> None:
        """Have room for so many bytes, and keep what is there."""
        if len(self.data) < size:
            self.data = self.data.ljust(2 * size, b"\0")
            lines = len(self.data) // SHORTEST + 1
            self.lines = Lines(*(np.empty(lines, dtype=dtype) for dtype in (*[np.uint64] * 4, np.float32)))
            self.queries = np.empty((lines, 3), dtype=np.uint64)


def _pieces(stream: BinaryIO, rooms: int) -> Iterator[tuple[_Room, int]]:
    """The file in pieces of whole queries, each ending in a newline: the room that a piece is in, from its start, and its size.

    A room is used again after `rooms` pieces, so the caller must have one less than that in hand when it asks for the next.
    """
    turn = cycle([_Room() for _ in range(rooms)])
    room, size = next(turn), 0
    while True:
        room.hold(size + PIECE_BYTES)
        read = cast(BufferedReader, stream).readinto(memoryview(room.data)[size : size + PIECE_BYTES])
        size += read
        if not read:
            break
        cut = _last_query(room.data, size)
        if cut:
            rest = room.data[cut:size]
            yield room, cut
            room, size = next(turn), len(rest)
            room.hold(size)
            room.data[:size] = rest
    if size:
        if room.data[size - 1] != NEWLINE:
            room.data[size] = NEWLINE
            size += 1
        yield room, size


def _last_query(data: bytearray, end: int) -> int:
    """Where the last query of the whole lines before `end` begins."""
    start = data.rfind(b"\n", 0, max(data.rfind(b"\n", 0, end), 0)) + 1
    name = data[start:end].split(None, 1)[:1]
    while start:
        before = data.rfind(b"\n", 0, start - 1) + 1
        if data[before:start].split(None, 1)[:1] != name:
            break
        start = before
    return start


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[_Room, int], _Piece], items: Iterable[tuple[_Room, int]], ahead: int
) -> Iterator[_Piece]:
    """The results of `work` in the order of `items`, of which at most `ahead` are in hand."""
    waiting: deque[Future[_Piece]] = deque()
    for item in items:
        waiting.append(pool.submit(work, *item))
        if len(waiting) == ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _read(room: _Room, end: int, rows_by_id: dict[str, int], index: Index, depth: int, keep_unknown: bool) -> _Piece:
    """Read a piece. Raises _WrongLineError."""
    data, lines, queries = memoryview(room.data)[:end], room.lines, room.queries
    view = np.frombuffer(data, dtype=np.uint8)
    count, size, wrong = scan(view, lines, queries)
    if wrong:
        raise _wrong(size, f"{len(_fields(data, size))} columns")
    for line in np.flatnonzero(~np.isfinite(lines.scores[:size])).tolist():
        text = _fields(data, line)[4]
        lines.scores[line] = _score(text)
        if not np.isfinite(lines.scores[line]):
            raise _wrong(line, f"score {text!r} is not a finite number")
    names = [str(data[start:end], "utf-8", "replace") for _, start, end in queries[:count].tolist()]
    rows = np.array([rows_by_id.get(name, -1) for name in names], dtype=np.int32)
    first_lines = np.append(queries[:count, 0], np.uint64(size))
    kept = int(np.minimum(np.diff(first_lines), depth)[rows >= 0].sum())
    block = Block(np.empty(kept, dtype=np.int32), np.empty(kept, dtype=np.int32), np.empty(kept, dtype=np.float32))
    line, what = rank(view, lines, first_lines, rows, index, depth, keep_unknown, *block)
    if what:
        query, _, passage, *_ = _fields(data, line)
        if what == REPEATED:
            raise _wrong(line, f"passage {passage!r} stands twice for query {query!r}", "A passage stands once. ")
        hint = "Run and collection must come from the same source."
        raise _WrongLineError(line, f"passage {passage!r} of query {query!r} is not in the collection", hint)
    return _Piece(names, first_lines, int((rows >= 0).sum()), block)


def _check_new(piece: _Piece, seen: set[str]) -> None:
    """Raise _WrongLineError when a query has been seen before; note those of this piece."""
    for name, line in zip(piece.names, piece.first_lines.tolist(), strict=False):
        if name in seen:
            hint = "A query's lines must be consecutive: sort the file by query, for example with sort -s -k1,1."
            raise _WrongLineError(line, f"query {name!r} comes back after other queries", hint)
        seen.add(name)


def _score(text: str) -> float:
    """The number in single precision; nan where it is none."""
    try:
        with np.errstate(over="ignore"):
            return float(np.float32(text)) if "_" not in text else np.nan
    except ValueError:
        return np.nan


def _fields(data: memoryview, line: int) -> list[str]:
    """The fields of a line of a piece."""
    return bytes(data).split(b"\n", line + 1)[line].decode(errors="replace").split()


def _wrong(line: int, found: str, hint: str = "") -> _WrongLineError:
    return _WrongLineError(line, found, f"A TREC run has six columns: {', '.join(COLUMNS)}. {hint}")
