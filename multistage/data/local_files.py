"""Collections of the user's own: passages, queries and judgements in the formats that the field uses.

Passages and queries: JSON lines with `id` (or `_id`, `docid`), `text` and perhaps `title`, which is put before the text; or
lines of id, tab, text. Which of the two is seen from the first line. Judgements: TREC's four columns (query, 0, passage,
grade), or BEIR's three behind a line `query-id corpus-id score`. All UTF-8, plain, .gz, or alone in a .zip. Blank lines are
skipped.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from multistage.data.packed import open_text
from multistage.data.query_sets import QuerySet
from multistage.data.tables import stream_rows
from multistage.jobs.errors import InputError

ID_KEYS = ("id", "_id", "docid")
BEIR_HEADER = ["query-id", "corpus-id", "score"]
HALF_A_PAIR = re.compile("[\ud800-\udfff]")
GRADE = re.compile(r"[+-]?[0-9]{1,5}")


def read_local_texts(path: str | Path) -> Iterator[tuple[str, str]]:
    """(id, text) of each line of passages or queries. Raises InputError naming the file and the line that is neither format."""
    parse = None
    for number, line in _lines(path):
        parse = parse or (_parse_json if line.lstrip().startswith("{") else _parse_tabbed)
        try:
            name, text = parse(line)
        except ValueError as error:
            raise InputError(f"{path}, line {number}: {error}") from error
        if name.split() != [name]:
            raise InputError(f"{path}, line {number}: id {name!r} is empty or holds a blank; TREC files cannot carry it.")
        yield name, text


def read_own_texts(path: str | Path) -> Iterator[tuple[str, str]]:
    """(id, text) of each passage or query, also of the workflow's own Parquet tables. Raises InputError naming the file."""
    if Path(path).suffix != ".parquet" or not Path(path).is_file():
        yield from read_local_texts(path)
        return
    try:
        columns = pq.read_schema(path).names
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: not a Parquet file ({error}).") from error
    if not {"id", "text"} <= set(columns):
        raise InputError(f"{path}: its columns are {', '.join(columns)}; expected id and text.")
    for ids, texts in stream_rows(path):
        yield from zip(ids, texts, strict=True)


def read_pairs(path: str | Path) -> Iterator[tuple[str, str, str]]:
    """(line, query, passage) of each JSON line with these two strings; the line is as it stands, without blanks around it.

    Raises InputError naming the file and the line that is not such a pair, has no query, or has a score already.
    """
    for number, line in _lines(path):
        try:
            record = _json_object(line)
            query, passage = record.get("query"), record.get("passage")
            if not isinstance(query, str) or not isinstance(passage, str):
                raise ValueError(f"expected the strings query and passage; found {', '.join(record) or 'nothing'}.")
            if not query.strip():
                raise ValueError("the query is empty.")
            if "score" in record:
                raise ValueError("it already has a score; rename that key.")
        except ValueError as error:
            raise InputError(f"{path}, line {number}: {error}") from error
        yield line.strip(), query, passage


def read_local_queries(queries: str | Path, qrels: str | Path) -> QuerySet:
    """Queries and judgements from two files."""
    return QuerySet(read_local_texts(queries), read_qrels_file(qrels))


def read_qrels_file(path: str | Path) -> Iterator[tuple[str, str, int]]:
    """(query id, passage id, grade) of each line. Raises InputError naming the file and the line that is not a judgement."""
    width = 4
    for place, (number, line) in enumerate(_lines(path)):
        columns = line.split()
        if place == 0 and columns == BEIR_HEADER:
            width = len(BEIR_HEADER)
            continue
        if len(columns) != width:
            expected = "query, 0, passage, grade" if width == 4 else ", ".join(BEIR_HEADER)
            raise InputError(f"{path}, line {number}: {len(columns)} columns; expected {width}: {expected}.")
        if not GRADE.fullmatch(columns[-1]):
            raise InputError(f"{path}, line {number}: grade {columns[-1]!r} is not a whole number of at most five digits.")
        yield columns[0], columns[-2], int(columns[-1])


def _lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, without their ends, and their numbers from 1."""
    with open_text(path) as stream:
        for number, line in enumerate(stream, start=1):
            line = line.rstrip("\r\n")
            if line:
                yield number, line.removeprefix("\ufeff") if number == 1 else line


def _parse_json(line: str) -> tuple[str, str]:
    record = _json_object(line)
    key = next((key for key in ID_KEYS if key in record), None)
    if key is None or "text" not in record:
        raise ValueError(
            f"expected {', '.join(ID_KEYS[:-1])} or {ID_KEYS[-1]}, and text; found {', '.join(record) or 'nothing'}."
        )
    name = record[key]
    if not isinstance(name, str) and type(name) is not int:
        raise ValueError(f"{key} is neither a string nor a whole number.")
    title, text = record.get("title") or "", record["text"]
    if not isinstance(text, str) or not isinstance(title, str):
        raise ValueError("text and title must be strings.")
    return str(name), f"{title} {text}".strip()


def _json_object(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error}), in a file of JSON lines.") from error
    if not isinstance(record, dict):
        raise ValueError("not a JSON object.")
    if HALF_A_PAIR.search("".join(value for value in record.values() if isinstance(value, str))):
        raise ValueError("the text contains half of a surrogate pair, which is not a character.")
    return record


def _parse_tabbed(line: str) -> tuple[str, str]:
    columns = line.split("\t")
    if len(columns) != 2:
        raise ValueError(f"{len(columns) - 1} tabs; expected id, tab, text, or JSON lines.")
    return columns[0], columns[1].strip()
