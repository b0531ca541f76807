"""A language model as teacher: it orders a query's candidates, a window at a time, as RankGPT does.

Sun et al., "Is ChatGPT Good at Search?" (EMNLP 2023): permutation generation with sliding windows, and their prompt.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from multistage.data.runs import RUN
from multistage.jobs.errors import InputError
from multistage.jobs.log import logger
from multistage.sources.chat import Chat, Message, opening
from multistage.teachers.rankgpt import is_intact, parse_permutation


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
    for kind, count in counts.items():
        logger.log(logging.INFO if kind == "intact" else logging.WARNING, "%s: %s answers %s", chat.path, f"{count:,}", kind)
    pairs = zip(run["query"].unique(maintain_order=True), rankings, strict=True)
    ranked = [(query, order) for query, (order, kinds) in pairs if {*kinds} != {"refusals"}]
    if not ranked:
        raise InputError(f"{chat.path}: all answers for {len(rankings):,} queries are refusals. Take another model.")
    if refused := len(rankings) - len(ranked):
        logger.warning("%s: %s queries left out: all answers to them are refusals", chat.path, f"{refused:,}")
    rows = [(query, passage, -float(rank)) for query, order in ranked for rank, passage in enumerate(order, start=1)]
    return pl.DataFrame(rows, schema=RUN, orient="row")


def windows(size: int, window: int, step: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of the windows over `size` candidates, from the end to the front; none where there is nothing to order.

    The last one begins at the first candidate, and may be smaller; RankGPT's code leaves it out unless the steps come out even.
    """
    start = size if size > 1 else 0
    stop = size + step
    while start > 0:
        stop -= step
        start = max(stop - window, 0)
        yield start, stop


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
