"""A language model as teacher: it orders a query's candidates as RankGPT does (Sun et al., "Is ChatGPT Good at Search?", EMNLP
2023). It is asked a window at a time, with their prompt; or its answers come in RankGPT's own files.

These are candidate lists (.jsonl) and permutations (.json), aligned line by line. A candidate line is {"query_id", "query",
"positive_passages": [{"docid", "text"}], "retrieved_passages": [{"docid", "text", "rank"}]}. The permutations are one JSON list
of strings such as "[5] > [18] > …", where [5] is the fifth retrieved passage.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import TypeAdapter, ValidationError

from multistage.data.local_files import json_object, numbered_lines
from multistage.data.packed import open_text
from multistage.data.runs import RUN
from multistage.jobs.errors import InputError
from multistage.jobs.log import Rate, logger
from multistage.sources.chat import Chat, Message, opening

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
    found: list[tuple[str, list[str]]] = []
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
            found.append((query, [passages[place - 1] for place in order]))
        seen.add(query)
        rate.advance(1)
    _log_counts(permutations, "permutations", counts)
    if not found:
        reasons = "; ".join(f"{count:,} {what}" for what, count in counts.items()) or "there is none"
        raise InputError(
            f"{permutations}: no permutation can be used ({reasons}). The queries of {candidates} are such as "
            f"{min(seen, default='')!r}, those of the query set such as {queries.min()!r}."
        )
    return _as_run(found)


def parse_permutation(text: str, size: int) -> list[int]:
    """Read a ranking of the passages 1..`size`, best first; empty for a refusal, that is a text without any of their ids.

    A malformed one is repaired as RankGPT's own code does: the first occurrence of an id counts, ids out of range are skipped,
    missing ids follow in their original order. Unlike there, only numbers in brackets are ids, so that the numbers of a refusal
    are not taken for a ranking.
    """
    known = range(1, size + 1)
    order = dict.fromkeys(number for number in map(int, IDENTIFIER.findall(text)) if number in known)
    return list(order | dict.fromkeys(known)) if order else []


def is_intact(text: str, order: Sequence[int]) -> bool:
    """Whether the ranking that was read from a text is what stands there, and all of it."""
    return text == " > ".join(f"[{place}]" for place in order)


def _log_counts(path: str | Path, things: str, counts: Counter[str]) -> None:
    for what, count in counts.items():
        logger.log(logging.INFO if what == "intact" else logging.WARNING, f"{path}: {count:,} {things} {what}")


def _as_run(rankings: list[tuple[str, list[str]]]) -> pl.DataFrame:
    rows = [(query, passage, -float(rank)) for query, order in rankings for rank, passage in enumerate(order, start=1)]
    return pl.DataFrame(rows, schema=RUN, orient="row")


def _read_answers(path: str | Path) -> list[str]:
    with open_text(path) as stream:
        try:
            return TypeAdapter(list[str]).validate_json(stream.read())
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise InputError(f"{path}: expected a JSON list of strings such as '[2] > [1]' ({reason}).") from error


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


def rank_by_windows(
    run: pl.DataFrame, queries: Mapping[str, str], passages: Mapping[str, str], *, window: int, step: int, chat: Chat
) -> pl.DataFrame:
    """The teacher's rankings of a run's candidates as a run, the score being minus the teacher's rank.

    run: (query, passage, score) in run order. queries, passages: texts by id. Malformed answers are repaired as
    `parse_permutation` does; one that is a refusal leaves its window as it is, and a query with nothing but these is left out.
    All are counted. Raises InputError as `Chat.ask` does, and when nothing is left.
    """

    def rank(candidates: tuple[str, list[str]]) -> tuple[list[str], list[str]]:
        query, names = candidates
        order, kinds = list(names), []
        for start, stop in windows(len(order), window, step):
            answer = chat.ask(conversation(queries[query], [passages[name] for name in order[start:stop]])).strip()
            places = parse_permutation(answer, stop - start)
            kinds.append("refusals" if not places else "intact" if is_intact(answer, places) else "repaired")
            if places:
                order[start:stop] = [order[start + place - 1] for place in places]
        return order, kinds

    candidates = list(run.group_by("query", maintain_order=True).agg("passage").iter_rows())
    rankings = chat.side_by_side(rank, candidates, "queries")
    counts = Counter(kind for _, kinds in rankings for kind in kinds)
    _log_counts(chat.path, "answers", counts)
    pairs = zip(run["query"].unique(maintain_order=True), rankings, strict=True)
    ranked = [(query, order) for query, (order, kinds) in pairs if {*kinds} != {"refusals"}]
    if not ranked:
        raise InputError(f"{chat.path}: all answers for {len(rankings):,} queries are refusals. Take another model.")
    if refused := len(rankings) - len(ranked):
        logger.warning(f"{chat.path}: {refused:,} queries left out: all answers to them are refusals")
    return _as_run(ranked)


def windows(size: int, window: int, step: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of the windows over `size` candidates, from the end to the front; none where there is nothing to order.

    The last one begins at the first candidate, and may be smaller; RankGPT's code leaves it out unless the steps come out even.
    """
    for stop in range(size if size > 1 else 0, 0, -step):
        yield max(stop - window, 0), stop
        if stop <= window:
            return


def conversation(query: str, passages: Sequence[str]) -> list[Message]:
    """RankGPT's conversation: the passages one by one, then the question for their order."""
    count = len(passages)
    messages = [
        ("system", "You are RankGPT, an intelligent assistant that can rank passages based on their relevancy to the query."),
        (
            "user",
            f"I will provide you with {count} passages, each indicated by number identifier []. \n"
            f"Rank the passages based on their relevance to query: {query}.",
        ),
        ("assistant", "Okay, please provide the passages."),
    ]
    for number, passage in enumerate(passages, start=1):
        messages += [("user", f"[{number}] {opening(passage)}"), ("assistant", f"Received passage [{number}].")]
    final = (
        f"Search Query: {query}. \nRank the {count} passages above based on their relevance to the search query. The passages "
        "should be listed in descending order using identifiers. The most relevant passages should be listed first. The output "
        "format should be [] > [], e.g., [1] > [2]. Only response the ranking results, do not say any word or explain."
    )
    return [{"role": role, "content": content} for role, content in [*messages, ("user", final)]]
