"""RankGPT's files: candidate lists (.jsonl) and permutations (.json), aligned line by line.

A candidate line is {"query_id", "query", "positive_passages": [{"docid", "text"}], "retrieved_passages": [{"docid",
"text", "rank"}]}. The permutations are one JSON list of strings such as "[5] > [18] > …", where [5] is the fifth
retrieved passage. Sun et al., "Is ChatGPT Good at Search?" (EMNLP 2023).
"""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import polars as pl

from multistage.data.packed import open_text
from multistage.jobs.errors import InputError
from multistage.jobs.log import Rate
from multistage.teachers.permutations import parse_permutation

logger = logging.getLogger("jobs")


def read_rankings(
    candidates: str | Path, permutations: str | Path, malformed: Literal["repair", "drop"], queries: pl.Series
) -> tuple[pl.DataFrame, Counter[str]]:
    """The teacher's rankings as a run (query, passage, score), the score being minus the teacher's rank.

    candidates, permutations: files, packed or not. malformed: what to do with an answer that is not a permutation. Refusals,
    which rank nothing, queries that are not in `queries`, and the later rankings of a query are left out; all are counted.
    Raises InputError when the files do not align, a line is not of the format, or nothing is left.
    """
    counts: Counter[str] = Counter()
    wanted, seen = set(queries), set[str]()
    found: list[tuple[str, str, float]] = []
    for (query, passages), text in _aligned(candidates, permutations):
        permutation = parse_permutation(text, len(passages))
        if query not in wanted:
            counts["of other queries"] += 1
        elif query in seen:
            counts["repeated"] += 1
        elif permutation is None:
            counts["refused"] += 1
        elif permutation.repaired and malformed == "drop":
            counts["dropped"] += 1
        else:
            counts["repaired" if permutation.repaired else "intact"] += 1
            found.extend((query, passages[place - 1], -float(rank)) for rank, place in enumerate(permutation.order, start=1))
        seen.add(query)
    summary = ", ".join(f"{count:,} {what}" for what, count in counts.items())
    logger.info("permutations: %s", summary)
    if not found:
        raise InputError(f"{permutations}: it has no usable permutation ({summary}).")
    return pl.DataFrame(found, schema=["query", "passage", "score"], orient="row"), counts


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
