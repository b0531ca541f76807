"""RankGPT's files: candidate lists (.jsonl) and permutations (.json), aligned line by line.

A candidate line is {"query_id", "query", "positive_passages": [{"docid", "text"}], "retrieved_passages": [{"docid",
"text", "rank"}]}. The permutations are one JSON list of strings such as "[5] > [18] > …", where [5] is the fifth
retrieved passage. Sun et al., "Is ChatGPT Good at Search?" (EMNLP 2023).
"""

import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic_core import from_json

from multistage.data.local_files import json_object, numbered_lines
from multistage.data.packed import open_text
from multistage.data.runs import RUN
from multistage.jobs.errors import InputError
from multistage.jobs.log import Rate, logger

IDENTIFIER = re.compile(r"\[(\d{1,9})\]")


def read_rankings(
    candidates: str | Path, permutations: str | Path, malformed: Literal["repair", "drop"], queries: pl.Series
) -> pl.DataFrame:
    """The teacher's rankings as a run (query, passage, score), the score being minus the teacher's rank.

    candidates, permutations: files, packed or not. malformed: what to do with an answer that is not a permutation. Refusals,
    which rank nothing, queries that are not in `queries`, and the later rankings of a query are left out; all are counted.
    Raises InputError when the files do not align, a line is not of the format, or nothing is left.
    """
    answers = _read_answers(permutations)
    rate = Rate(len(answers), "permutations")
    counts: Counter[str] = Counter()
    wanted, seen = set(queries), set[str]()
    found: list[tuple[str, str, float]] = []
    for candidate, answer in zip_longest(_read_candidates(candidates), answers):
        if candidate is None or answer is None:
            raise InputError(f"{permutations}: its {len(answers)} permutations are not as many as the lines of {candidates}.")
        query, passages = candidate
        order = parse_permutation(answer, len(passages))
        intact = is_intact(answer, order)
        if query not in wanted:
            counts["left out: their queries are not in the query set"] += 1
        elif query in seen:
            counts["left out: their queries have one already"] += 1
        elif not order:
            counts["left out: they are refusals"] += 1
        elif not intact and malformed == "drop":
            counts["left out: they are malformed"] += 1
        else:
            counts["intact" if intact else "repaired"] += 1
            found.extend((query, passages[place - 1], -float(rank)) for rank, place in enumerate(order, start=1))
        seen.add(query)
        rate.advance(1)
    for what, count in counts.items():
        logger.log(
            logging.INFO if what == "intact" else logging.WARNING, "%s: %s permutations %s", permutations, f"{count:,}", what
        )
    if not found:
        reasons = "; ".join(f"{count:,} {what}" for what, count in counts.items()) or "there is none"
        raise InputError(
            f"{permutations}: no permutation can be used ({reasons}). The queries of {candidates} are such as "
            f"{min(seen, default='')!r}, those of the query set such as {queries.min()!r}."
        )
    return pl.DataFrame(found, schema=RUN, orient="row")


def parse_permutation(text: str, size: int) -> list[int]:
    """Read a ranking of the passages 1..`size`, best first; empty for a refusal, that is a text without any of their ids.

    A malformed one is repaired as RankGPT's own code does (Sun et al., "Is ChatGPT Good at Search?", EMNLP 2023):
    the first occurrence of an id counts, ids out of range are skipped, missing ids follow in their original order.
    Unlike there, only numbers in brackets are ids, so that the numbers of a refusal are not taken for a ranking.
    """
    known = range(1, size + 1)
    order = dict.fromkeys(number for number in map(int, IDENTIFIER.findall(text)) if number in known)
    return list(order | dict.fromkeys(known)) if order else []


def is_intact(text: str, order: Sequence[int]) -> bool:
    """Whether the ranking that was read from a text is what stands there, and all of it."""
    return text == " > ".join(f"[{place}]" for place in order)


def _read_answers(path: str | Path) -> list[str]:
    with open_text(path) as stream:
        try:
            answers = from_json(stream.read())
        except ValueError as error:
            raise InputError(f"{path}: not JSON ({error}).") from error
    if not isinstance(answers, list) or not all(isinstance(answer, str) for answer in answers):
        raise InputError(f"{path}: expected a JSON list of strings such as '[2] > [1]'.")
    return answers


def _read_candidates(path: str | Path) -> Iterator[tuple[str, list[str]]]:
    """Query id and passage ids of each candidate line."""
    for place, line in numbered_lines(path):
        record = json_object(place, line)
        try:
            query, *passages = record["query_id"], *(passage["docid"] for passage in record["retrieved_passages"])
        except (KeyError, TypeError) as error:
            raise InputError(f"{place}: not a RankGPT line with query_id and retrieved_passages[].docid.") from error
        for name in (query, *passages):
            if type(name) not in (str, int) or str(name).split() != [str(name)]:
                raise InputError(f"{place}: the id {name!r} is not a text without blanks or a whole number.")
        passages = [str(passage) for passage in passages]
        if len(set(passages)) < len(passages):
            raise InputError(f"{place}: a passage stands twice among the retrieved ones of query {query!r}.")
        yield str(query), passages
