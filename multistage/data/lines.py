r"""The lines of a TREC run in machine code (numba): fields found, ids looked up, each query put in run order.

Everything here works on bytes and arrays, without Python's lock, and says what is wrong by the number of a line, for the caller
to word. Fields are separated by blanks, any number of them: spaces and control characters.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int32]
Places = npt.NDArray[np.uint64]
Keys = npt.NDArray[np.uint64]

FIELDS = 6
# Bytes of a line at least: a blank or the newline after each field.
SHORTEST = 2 * FIELDS
NEWLINE, BLANK = 10, 32
PLUS, MINUS, POINT = 43, 45, 46
# What is added to places is unsigned as they are: signed indices cost a test each, and mixed ones become floats.
ZERO, ONE, EIGHT, TEN, DIGIT_0 = (np.uint64(number) for number in (0, 1, 8, 10, 48))
# FNV-1a, 64 bits (Fowler, Noll, Vo); its highest bit is set, so that no hash is the key of a number.
FNV_OFFSET, FNV_PRIME, HASHED = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3), np.uint64(1 << 63)
# Multiplication by 2^64 over the golden ratio spreads keys over slots, consecutive numbers evenly (Knuth, volume 3, 6.4).
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
# Digits and powers of ten that a double holds exactly: one operation on them gives the nearest double (Clinger 1990).
EXACT = np.uint64(2**53)
POWERS = 10.0 ** np.arange(23)
UNKNOWN, REPEATED = 1, 2


class Index(NamedTuple):
    """Where ids are found.

    ids: the bytes of all, one after another; row r's from offsets[r] to offsets[r + 1]. keys: (ids,), see `_key`.
    slots: rows at places that follow from the keys, -1 where free; see `fill_slots`. Where the keys are small numbers, they are
    the places themselves, and `direct` is true.
    """

    ids: Bytes
    offsets: Places
    keys: Keys
    slots: Rows
    direct: bool


class Lines(NamedTuple):
    """What `scan` finds, each (lines,): where the passage's id starts and ends, its key and prefix (see `_key`), the score."""

    starts: Places
    ends: Places
    keys: Keys
    prefixes: Keys
    scores: Floats


@njit(nogil=True, cache=True)
def fill_keys(ids: Bytes, offsets: Places, keys: Keys) -> None:
    """Fill in each id's key."""
    for row in range(len(keys)):
        keys[row], _ = _key(ids, offsets[row], offsets[row + 1])


@njit(nogil=True, cache=True)
def fill_slots(keys: Keys, slots: Rows) -> None:
    """Enter the rows of the keys into `slots`, (a power of two above the keys,), all -1 before: open addressing."""
    shift = _shift(slots)
    for row in range(len(keys)):
        slot = np.int64((keys[row] * GOLDEN) >> shift)
        while slots[slot] >= 0:
            slot = (slot + 1) & (len(slots) - 1)
        slots[slot] = row


@njit(nogil=True, cache=True)
def scan(data: Bytes, lines: Lines, queries: Places) -> tuple[int, int, bool]:
    """Find the fields of every line of `data`, which ends in a newline.

    lines: (as many as there can be, see SHORTEST,) filled in; a score is nan where `_number` gives none.
    queries: (as many, 3), filled in with each query's first line, and where its id starts and ends.
    Returns the number of queries, that of lines up to the first without six fields, and whether there is such a one.
    """
    starts, ends, keys, prefixes, scores = lines
    line, count, place, size = 0, 0, ZERO, np.uint64(len(data))
    last_start, last_size = ZERO, ZERO
    while place < size:
        field = 0
        ahead = place + last_size
        if ahead > place and ahead < size and data[ahead] <= BLANK and _same(data, place, data, last_start, last_size):
            field, place = 1, ahead  # the query of the line before
        while True:
            while data[place] <= BLANK and data[place] != NEWLINE:
                place += ONE
            if data[place] == NEWLINE:
                break
            start = place
            while data[place] > BLANK:
                place += ONE
            if field == 0:
                if place - start != last_size or not _same(data, start, data, last_start, last_size):
                    last_start, last_size = start, place - start
                    queries[count, 0], queries[count, 1], queries[count, 2] = line, start, place
                    count += 1
            elif field == 2:
                starts[line], ends[line] = start, place
                keys[line], prefixes[line] = _key(data, start, place)
            elif field == 4:
                scores[line] = _number(data, start, place)
            field += 1
        if field != FIELDS:
            return count, line, True
        line += 1
        place += ONE
    return count, line, False


@njit(nogil=True, cache=True)
def rank(
    data: Bytes,
    lines: Lines,
    first_lines: Places,
    query_rows: Rows,
    index: Index,
    depth: int,
    keep_unknown: bool,
    found_queries: Rows,
    found_passages: Rows,
    found_scores: Floats,
) -> tuple[int, int]:
    """Look up the passages of every query, put them in run order, cut them at `depth`, and write them to `found_*`.

    lines: what `scan` found in `data`. first_lines: (queries + 1,) where queries begin, and the last one ends.
    query_rows: (queries,) store rows, -1 for a query that is left out. keep_unknown: a passage that is not in `index` gets row
    -1, instead of being wrong. found_*: (what comes out,) filled in.
    Returns the first wrong line with what is wrong, an UNKNOWN or a REPEATED passage; or -1 and 0.
    """
    starts, ends, keys, prefixes, scores = lines
    ids, offsets, known, slots, direct = index
    shift, out = _shift(slots), 0
    # A small table of the query's own lines, to find passages that come twice; four times too large, to find them at once.
    members, member_shift = np.empty(16, dtype=np.int32), np.uint64(60)
    rows = np.empty(4, dtype=np.int32)
    for query in range(len(query_rows)):
        if query_rows[query] < 0:
            continue
        begin, end = np.int64(first_lines[query]), np.int64(first_lines[query + 1])
        while len(rows) < end - begin:
            rows, members = np.empty(2 * len(rows), dtype=np.int32), np.empty(2 * len(members), dtype=np.int32)
            member_shift -= np.uint64(1)
        # In steps that do one thing each: they wait for memory, and many such waits then overlap.
        for line in range(begin, end):
            place = keys[line] if direct else (keys[line] * GOLDEN) >> shift
            rows[line - begin] = slots[place] if place < np.uint64(len(slots)) else -1
        for line in range(begin, end):
            row, key = rows[line - begin], keys[line]
            if row >= 0 and not direct:
                slot = np.int64((key * GOLDEN) >> shift)
                while row >= 0 and not (
                    known[row] == key and (key < HASHED or _is(data, starts[line], ends[line], ids, offsets, row))
                ):
                    slot = (slot + 1) & (len(slots) - 1)
                    row = slots[slot]
                rows[line - begin] = row
            if row < 0 and not keep_unknown:
                return line, UNKNOWN
        members[:] = -1
        for line in range(begin, end):
            key = keys[line]
            member = np.int64((key * GOLDEN) >> member_shift)
            while members[member] >= 0:
                other = begin + members[member]
                if keys[other] == key and (key < HASHED or _equal(data, starts[line], ends[line], starts[other], ends[other])):
                    return line, REPEATED
                member = (member + 1) & (len(members) - 1)
            members[member] = line - begin
        falling = True
        for line in range(begin + 1, end):
            falling &= scores[line] <= scores[line - 1]
        order = np.arange(end - begin) if falling else np.argsort(-scores[begin:end], kind="mergesort")
        for place in range(1, end - begin):
            moved, left = order[place], place
            line = begin + moved
            while left > 0:
                other = begin + order[left - 1]
                if scores[other] != scores[line] or prefixes[other] > prefixes[line]:
                    break
                if prefixes[other] == prefixes[line] and not _less(data, starts[other], ends[other], starts[line], ends[line]):
                    break
                order[left] = order[left - 1]
                left -= 1
            order[left] = moved
        for place in range(end - begin):
            if place == depth:
                break
            found_queries[out], found_passages[out] = query_rows[query], rows[order[place]]
            found_scores[out] = scores[begin + order[place]]
            out += 1
    return -1, 0


@njit(nogil=True, cache=True)
def _shift(slots: Rows) -> np.uint64:
    """By how much a product of 64 bits is shifted to be a place in `slots`."""
    return np.uint64(64 - np.int64(np.log2(len(slots))))


@njit(nogil=True, cache=True)
def _key(data: Bytes, start: np.uint64, end: np.uint64) -> tuple[np.uint64, np.uint64]:
    """The key of an id, and its first 8 bytes as a number that compares as they do.

    The key of a number of up to 8 digits, written as numbers are, is its value; that of any other id is its hash.
    """
    size = end - start
    first = min(size, EIGHT)
    prefix, value, is_number = ZERO, ZERO, size <= EIGHT and (data[start] != DIGIT_0 or size == ONE)
    place = start
    while place < start + first:
        byte = np.uint64(data[place])
        prefix = (prefix << EIGHT) | byte
        value = value * TEN + (byte - DIGIT_0)
        is_number &= byte - DIGIT_0 < TEN
        place += ONE
    prefix <<= EIGHT * (EIGHT - first)
    if is_number:
        return value, prefix
    hashed, place = FNV_OFFSET, start
    while place < end:
        hashed = (hashed ^ np.uint64(data[place])) * FNV_PRIME
        place += ONE
    return hashed | HASHED, prefix


@njit(nogil=True, cache=True)
def _number(data: Bytes, start: np.uint64, end: np.uint64) -> float:
    """The number written there, as the nearest double; nan where it is none, or one with an exponent or too many digits."""
    place = start
    negative = data[place] == MINUS
    if negative or data[place] == PLUS:
        place += ONE
    digits, decimals, found, point = ZERO, 0, False, False
    while place < end:
        digit = np.uint64(data[place]) - DIGIT_0
        if digit < TEN:
            digits = digits * TEN + digit
            decimals += point
            found = True
            if digits > EXACT:
                return np.nan
        elif data[place] == POINT and not point:
            point = True
        else:
            return np.nan
        place += ONE
    if not found or decimals >= len(POWERS):
        return np.nan
    value = np.float64(digits) / POWERS[decimals]
    return -value if negative else value


@njit(nogil=True, cache=True)
def _same(data: Bytes, start: np.uint64, other: Bytes, other_start: np.uint64, size: np.uint64) -> bool:
    """Whether the same `size` bytes stand in both places."""
    step = ZERO
    while step < size and data[start + step] == other[other_start + step]:
        step += ONE
    return bool(step == size)


@njit(nogil=True, cache=True)
def _less(data: Bytes, start: np.uint64, end: np.uint64, other_start: np.uint64, other_end: np.uint64) -> bool:
    """Whether the bytes in the first place come before those in the other."""
    while start < end and other_start < other_end and data[start] == data[other_start]:
        start += ONE
        other_start += ONE
    if start == end or other_start == other_end:
        return bool(other_start < other_end)
    return bool(data[start] < data[other_start])


@njit(nogil=True, cache=True)
def _equal(data: Bytes, start: np.uint64, end: np.uint64, other_start: np.uint64, other_end: np.uint64) -> bool:
    """Whether the same id stands in both places."""
    return bool(end - start == other_end - other_start) and _same(data, start, data, other_start, end - start)


@njit(nogil=True, cache=True)
def _is(data: Bytes, start: np.uint64, end: np.uint64, ids: Bytes, offsets: Places, row: int) -> bool:
    """Whether the id that stands there is that of the row."""
    same_size = offsets[row + 1] - offsets[row] == end - start
    return bool(same_size) and _same(data, start, ids, offsets[row], end - start)
