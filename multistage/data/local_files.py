"""Collections of the user's own: passages, queries and judgements in the formats that the field uses.

Passages and queries: JSON lines with an id and a text (by the names below) and perhaps a `title`, which is put before the text;
or lines of id, tab, text. Which of the two is seen from the first line. Judgements: TREC's four columns (query, 0, passage,
grade), or BEIR's three below a line `query-id corpus-id score`. Packed or not (see `packed`). Blank lines are skipped.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic_core import from_json

from multistage.data.packed import line_of, open_text, plain_file
from multistage.data.runs import BLANK, columns_pattern, scan_lines
from multistage.data.tables import GRADES, QRELS, stream_rows
from multistage.jobs.errors import InputError
from multistage.jobs.log import logger

# A query's before a passage's before a document's: MS MARCO's second passages have both of these.
ID_KEYS = ("id", "_id", "qid", "query_id", "pid", "passage_id", "docid", "doc_id", "docno")
TEXT_KEYS = ("text", "contents", "content", "body", "passage", "query")
# The first line of a file that has names of columns.
HEADER = re.compile(
    r"[#\"_]*((q|query|question|topic|d|doc|document|p|passage|corpus|id|no|num|number)[\" _-]?)+\t"
    r"\"?((query|question|topic|doc|document|passage|text|title|contents?|body|sentence|description)[\" _-]?)+",
    re.IGNORECASE,
)
BEIR_HEADER = r"^query[_-]id\s+corpus[_-]id\s+score\s*$"


def read_local_texts(path: str | Path) -> Iterator[tuple[str, str]]:
    """(id, text) of each line of passages or queries. Raises InputError naming the file and the line that is neither format.

    A line of column names at the top is left out. In a text there may be tabs, unless so many lines have them that they must be
    columns; both are told in the log.
    """
    lines = numbered_lines(path)
    for first in lines:
        texts = _json_texts if first[1].lstrip().startswith("{") else _tabbed_texts
        for place, name, text in texts(chain([first], lines)):
            if name.split() != [name]:
                raise InputError(f"{place}: id {name!r} is empty or holds a blank; TREC files cannot carry it.")
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
    for place, line in numbered_lines(path):
        record = json_object(place, line)
        query, passage = record.get("query"), record.get("passage")
        if not isinstance(query, str) or not isinstance(passage, str):
            raise InputError(f"{place}: expected the strings query and passage; found {line.strip()[:100]}.")
        if not query.strip():
            raise InputError(f"{place}: the query is empty.")
        if "score" in record:
            raise InputError(f"{place}: it already has a score; rename that key.")
        yield line.strip(), query, passage


def read_qrels_file(path: str | Path) -> pl.DataFrame:
    """The judgements (query, passage, grade) of a file. Raises InputError naming the file and the line that is not one."""
    with plain_file(path) as file:
        lines = scan_lines(file).collect()
    beir = bool(lines["line"].head(1).str.contains(BEIR_HEADER).any())
    columns = ["query", "passage", "grade"] if beir else ["query", "0", "passage", "grade"]
    fields = pl.col("line").str.extract_groups(rf"{columns_pattern(columns, QRELS)}{BLANK}*$")
    found = lines[int(beir) :].select("number", fields).unnest("line").select("number", *QRELS)
    found = found.with_columns(pl.col("grade").cast(pl.Int16, strict=False))
    for number in found.filter(pl.col("grade").is_null())["number"].head(1):
        given = line_of(path, number).split()
        wrong = f"grade {given[-1]!r} is not a whole number from {GRADES.min} to {GRADES.max}"
        wrong = wrong if len(given) == len(columns) else f"{len(given)} columns"
        head = "below the first line" if beir else "or BEIR's three below a line query-id, corpus-id, score"
        raise InputError(f"{path}, line {number}: {wrong}; expected the columns {', '.join(columns)} ({head}).")
    return found.drop("number")


def numbered_lines(path: str | Path) -> Iterator[tuple[str, str]]:
    """The lines of a text file that are not empty, without their ends, each behind its place: the file and its number."""
    with open_text(path) as stream:
        for number, line in enumerate(stream, start=1):
            if "\0" in line:
                raise InputError(
                    f"{path}, line {number}: it holds a NUL character; is it damaged, or UTF-16 without a byte-order mark?"
                )
            if line := line.rstrip("\r\n").lstrip("\ufeff"):  # files that were put together
                yield f"{path}, line {number}", line


def json_object(place: str, line: str) -> dict[str, Any]:
    """The JSON object in a line. Raises InputError naming its place."""
    try:
        record = from_json(line)
    except ValueError as error:
        raise InputError(f"{place}: not JSON ({str(error).replace(' line 1', '')}), in a file of JSON lines.") from error
    if not isinstance(record, dict):
        raise InputError(f"{place}: not a JSON object.")
    return record


def _json_texts(lines: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
    for place, line in lines:
        record = json_object(place, line)
        key, field = (next((key for key in keys if key in record), "") for keys in (ID_KEYS, TEXT_KEYS))
        if not key or not field:
            expected = f"an id ({', '.join(ID_KEYS)}) and a text ({', '.join(TEXT_KEYS)})"
            raise InputError(f"{place}: expected {expected}; found {', '.join(record) or 'nothing'}.")
        name, title, text = record[key], record.get("title") or "", record[field]
        if not isinstance(name, str) and type(name) is not int:
            raise InputError(f"{place}: {key} is neither a string nor a whole number.")
        if not isinstance(text, str) or not isinstance(title, str):
            raise InputError(f"{place}: {field} and title must be strings.")
        yield place, str(name), f"{title} {text}".strip()


def _tabbed_texts(lines: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
    count, more, example = 0, 0, ""
    for count, (place, line) in enumerate(lines, start=1):
        name, tab, text = line.partition("\t")
        if not tab:
            raise InputError(f"{place}: no tab; expected id, tab, text, or JSON lines.")
        if count == 1 and HEADER.fullmatch(line):
            logger.warning(f"{place}: left out, for it names the columns ({name}, {text})")
            continue
        if "\t" in text:
            more, example = more + 1, example or place
        yield place, name, text.strip()
    if 3 * more > count:
        raise InputError(f"{example}: more than one tab, as {more:,} of {count:,} lines have; expected id, tab, text.")
    if more:
        logger.warning(f"{example}: the text has a tab in it, as in {more:,} of {count:,} lines; it was kept")
