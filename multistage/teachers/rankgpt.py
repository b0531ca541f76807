"""RankGPT's files: candidate lists (.jsonl) and permutations (.json), aligned line by line.

A candidate line is {"query_id", "query", "positive_passages": [{"docid", "text"}], "retrieved_passages": [{"docid",
"text", "rank"}]}. The permutations are one JSON list of strings such as "[5] > [18] > …", where [5] is the fifth
retrieved passage. Sun et al., "Is ChatGPT Good at Search?" (EMNLP 2023).
"""

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from multistage.data.packed import open_text
from multistage.data.runs import RUN, write_run
from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing
from multistage.jobs.log import Rate
from multistage.teachers.permutations import format_permutation, parse_permutation

logger = logging.getLogger("jobs")


@dataclass
class PermutationCounts:
    """What became of the permutations of a file.

    dropped: malformed ones, where they are not repaired. refused: texts without a ranking. left_out: of queries that are not in
    the query set. repeated: of queries that came before, the first of which counts.
    """

    intact: int = 0
    repaired: int = 0
    dropped: int = 0
    refused: int = 0
    left_out: int = 0
    repeated: int = 0


@dataclass(frozen=True)
class TaughtQuery:
    """A query, its candidates as (passage id, text) in retrieval order, the teacher's score of each, and its order, from 1."""

    query: str
    text: str
    candidates: list[tuple[str, str]]
    scores: list[float]
    order: list[int]


def write_rankings(
    taught: Iterable[TaughtQuery], candidates: str | Path, permutations: str | Path, scores: str | Path, tag: str
) -> None:
    """Write a teacher's rankings as RankGPT's two files, and its scores as a run."""
    written: list[str] = []
    scored: list[tuple[str, str, float]] = []
    with replacing(candidates, permutations, scores) as (lines_file, list_file, run_file):
        with open(lines_file, "w", encoding="utf-8") as stream:
            for item in taught:
                retrieved = [{"docid": p, "text": t, "rank": rank} for rank, (p, t) in enumerate(item.candidates, start=1)]
                line = {"query_id": item.query, "query": item.text, "positive_passages": [], "retrieved_passages": retrieved}
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
                written.append(format_permutation(item.order))
                scored.extend((item.query, p, score) for (p, _), score in zip(item.candidates, item.scores, strict=True))
        list_file.write_text(json.dumps(written, indent=0))
        write_run(run_file, pl.DataFrame(scored, schema=RUN, orient="row"), tag)


def read_rankings(
    candidates: str | Path, permutations: str | Path, malformed: Literal["repair", "drop"], queries: pl.Series
) -> tuple[pl.DataFrame, PermutationCounts]:
    """The teacher's rankings as a run (query, passage, score), the score being minus the teacher's rank.

    candidates, permutations: files, packed or not. malformed: what to do with a permutation that is none; refusals are always
    left out. queries: ids of the query set; others are left out. All are counted.
    Raises InputError when the files do not align, a line is not of the format, or nothing is left.
    """
    counts = PermutationCounts()
    wanted, seen = set(queries), set[str]()
    found: list[tuple[str, str, float]] = []
    for (query, passages), text in _aligned(candidates, permutations):
        if query not in wanted:
            counts.left_out += 1
            continue
        if query in seen:
            counts.repeated += 1
            continue
        seen.add(query)
        permutation = parse_permutation(text, len(passages))
        if permutation is None:
            counts.refused += 1
            continue
        if permutation.repaired and malformed == "drop":
            counts.dropped += 1
            continue
        counts.repaired += permutation.repaired
        counts.intact += not permutation.repaired
        found.extend((query, passages[place - 1], -float(rank)) for rank, place in enumerate(permutation.order, start=1))
    logger.info("permutations: %s", asdict(counts))
    if not found:
        raise InputError(f"{permutations}: no usable permutation in it ({asdict(counts)}).")
    return pl.DataFrame(found, schema=RUN, orient="row"), counts


def _aligned(candidates: str | Path, permutations: str | Path) -> Iterator[tuple[tuple[str, list[str]], str]]:
    """(query id, passage ids) of each candidate line, with its permutation."""
    with open_text(permutations) as stream:
        try:
            texts = json.load(stream)
        except json.JSONDecodeError as error:
            raise InputError(f"{permutations}: not JSON ({error}).") from error
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InputError(f"{permutations}: expected a JSON list of strings such as '[2] > [1]'.")
    rate = Rate(len(texts), "permutations")
    lines = 0
    with open_text(candidates) as stream:
        for lines, line in enumerate(stream, start=1):
            if lines > len(texts):
                break
            yield _candidates(line, f"{candidates}, line {lines}"), texts[lines - 1]
            rate.advance(1)
    if lines != len(texts):
        raise InputError(f"{permutations}: {len(texts)} permutations for the {lines} or more lines of {candidates}.")


def _candidates(line: str, place: str) -> tuple[str, list[str]]:
    """Query id and passage ids of a candidate line."""
    try:
        record: dict[str, Any] = json.loads(line)
        query, passages = str(record["query_id"]), [str(passage["docid"]) for passage in record["retrieved_passages"]]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{place}: not a RankGPT line with query_id and retrieved_passages[].docid ({error!r}).") from error
    if len(set(passages)) < len(passages):
        raise InputError(f"{place}: a passage stands twice among the retrieved ones of query {query!r}.")
    return query, passages
