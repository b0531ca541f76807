"""Queries that a language model writes for passages, and the round trip that filters them.

As in InPars (Bonifacio et al., SIGIR 2022) and Promptagator (Dai et al., ICLR 2023); the prompt is our own, without examples.
A query is kept where a first stage finds its passage again, Promptagator's round-trip consistency.
"""

import re
from pathlib import Path

import polars as pl

from multistage.config.data import Draw
from multistage.data.leaks import SAME_TEXT
from multistage.data.preparing import draw_queries
from multistage.data.runs import read_run
from multistage.data.tables import read_ids, read_qrels, read_texts, texts_of, write_qrels, write_queries
from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing
from multistage.jobs.log import logger
from multistage.sources.chat import Chat, opening

PROMPT = """{passage}

Write {count} that a person could type into a search engine and that the passage above answers. Somebody who has not seen the \
passage must understand each of them. Answer with nothing else, each query on a line of its own."""
# What models put before a query, though they were asked not to.
BEFORE = re.compile(r"\s*([-*•]|\(?\d{1,2}[.):])?\s*((query|question)( \d+)?:)?\s*", re.IGNORECASE)


def generate_queries(
    passages: str | Path, *, sample: int, per_passage: int, seed: int, chat: Chat, queries: str | Path, qrels: str | Path
) -> None:
    """Write queries for `sample` passages, drawn with a seed, and judgements that say each answers its own (grade 1).

    Ids are those of the passages, with a number. Fewer passages than asked for, answers with fewer queries than `per_passage`,
    and queries with the text of another are counted in the log. Raises InputError as `Chat.ask` does, and when none is left.
    """
    ids = read_ids(passages)
    if len(ids) < sample:
        logger.warning(f"{passages}: {sample:,} passages were asked for; it has {len(ids):,}, and all are taken")
    drawn = ids.gather(draw_queries(len(ids), seed, 0, min(sample, len(ids))))
    texts = texts_of(passages, drawn)

    def ask(name: str) -> list[str]:
        count = "one query" if per_passage == 1 else f"{per_passage} different queries"
        content = PROMPT.format(passage=opening(texts[name]), count=count)
        return read_queries(chat.ask([{"role": "user", "content": content}]))[:per_passage]

    named = [name for name in drawn if texts[name].strip()]
    answers = chat.side_by_side(ask, named, "passages")
    rows = [
        (f"{name}-q{number}", text, name)
        for name, found in zip(named, answers, strict=True)
        for number, text in enumerate(found, start=1)
    ]
    written = pl.DataFrame(rows, schema=dict.fromkeys(("id", "text", "passage"), pl.String), orient="row")
    kept = written.filter(SAME_TEXT.is_first_distinct())
    for count, what in (
        (per_passage * len(drawn) - len(written), "queries are missing: empty passages, or answers with too few"),
        (len(written) - len(kept), "queries left out: their text is that of another"),
    ):
        if count:
            logger.warning(f"{chat.path}: {count:,} {what}")
    if kept.is_empty():
        raise InputError(f"{chat.path}: no answer holds a query. Take another model.")
    judged = kept.select(query="id", passage="passage", grade=pl.lit(1))
    with replacing(queries, qrels) as (queries, qrels):  # both or neither
        write_queries(queries, kept.select("id", "text").iter_rows(), chat.path)
        write_qrels(qrels, judged, chat.path)


def read_queries(answer: str) -> list[str]:
    """The queries in an answer, one a line, without numbers, bullets and quotation marks."""
    lines = (BEFORE.sub("", line, count=1).strip(" \t*`\"'“”") for line in answer.splitlines())
    return [" ".join(line.split()) for line in lines if line and not line.endswith(":")]


def keep_found(
    run: str | Path,
    texts: str | Path,
    judgements: str | Path,
    *,
    depth: int,
    relevance: int,
    draw: Draw | None,
    queries: str | Path,
    qrels: str | Path,
) -> None:
    """Write the queries for which a run has a relevant passage among the first `depth`, or a draw of them; others are counted.

    texts, judgements: of the whole set. Raises InputError where none is left, or fewer than are drawn.
    """
    asked, judged = read_texts(texts), read_qrels(judgements)
    found = judged.filter(pl.col("grade") >= relevance).join(read_run(run, depth), on=["query", "passage"], how="semi")
    kept = asked.filter(pl.col("id").is_in(found["query"].implode()))
    if lost := len(asked) - len(kept):
        logger.warning(f"{run}: {lost:,} of {len(asked):,} queries left out: no relevant passage is among the first {depth}")
    if kept.is_empty():
        raise InputError(f"{run}: no query of {texts} has a relevant passage among its first {depth}. Raise depth.")
    drawn = kept if draw is None else kept[draw_queries(len(kept), draw.seed, draw.start, draw.stop)]
    judged = judged.filter(pl.col("query").is_in(drawn["id"].implode()))
    with replacing(queries, qrels) as (queries, qrels):
        write_queries(queries, drawn.iter_rows(), run)
        write_qrels(qrels, judged, run, relevance)
