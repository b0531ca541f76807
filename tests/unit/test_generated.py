"""Queries that a language model on loopback writes for a sample of passages, and those of them that a run finds again."""

import re

import numpy as np
import polars as pl
import pytest

from loopback import Model, chat_server
from multistage.config.data import Draw, Server
from multistage.data.runs import write_run
from multistage.data.tables import read_qrels, read_texts, write_qrels, write_queries, write_texts
from multistage.jobs.errors import InputError
from multistage.sources.chat import chat
from multistage.sources.generated import generate_queries, keep_found, read_queries

TEXTS = {f"p{number}": f"Passage {number} about subject {number % 25}." for number in range(30)} | {"p30": " "}


def generate(folder, reply, sample=12, per_passage=2, fault=lambda number: None):
    """Generate queries with a server that replies so, and return them and their judgements as lists of rows."""
    write_texts(folder / "passages.parquet", TEXTS.items(), "passages")
    files = folder / "queries.parquet", folder / "qrels.parquet"
    settings = {"sample": sample, "per_passage": per_passage, "seed": 7, "queries": files[0], "qrels": files[1]}
    with chat_server(Model(reply, fault)) as model:
        server = Server.model_validate({"base_url": model.url, "model": "writer", "retries": 1})
        with chat(server, folder / "answers.jsonl") as asking:
            generate_queries(folder / "passages.parquet", chat=asking, **settings)
    return read_texts(files[0]).rows(), read_qrels(files[1]).rows()


def about(messages):
    """A query about a passage's subject, and one about the passage."""
    number, subject = re.search(r"Passage (\d+) about subject (\d+)", messages[-1]["content"]).groups()
    return f'Here are two queries:\n1. "What is  subject {subject}?"\n2. passage {number}'


def test_each_query_is_answered_by_the_passage_it_was_written_for(tmp_path, caplog):
    drawn = sorted(np.random.default_rng(7).permutation(31)[:12])
    queries, qrels = generate(tmp_path, about, fault=lambda number: 500 if number == 3 else None)
    expected, seen = [], set()
    for row in drawn:
        for number, text in enumerate((f"What is subject {row % 25}?", f"passage {row}"), start=1):
            if row < 30 and text not in seen:
                expected.append((f"p{row}-q{number}", text))
                seen.add(text)
    assert queries == expected
    assert qrels == [(query, query.partition("-")[0], 1) for query, _ in expected]
    lost = 24 - 2 * (30 in drawn) - len(expected)
    assert lost and f"{lost} queries left out: their text is that of another" in caplog.text


def test_a_small_collection_is_taken_whole_and_what_lacks_is_counted(tmp_path, caplog):
    queries, _ = generate(tmp_path, lambda messages: f"one about {messages[-1]['content'][:10]}", sample=99)
    assert len(queries) == 30
    assert "31, and all are taken" in caplog.text and "32 queries are missing" in caplog.text
    with pytest.raises(InputError, match="no answer holds a query"):
        generate(tmp_path / "none", lambda messages: "")


@pytest.mark.parametrize(
    ("answer", "queries"),
    [
        ("what is tea\n\n  how  is it made ", ["what is tea", "how is it made"]),
        ("- tea\n* coffee\n(3) 4 cups\n4) 1984 book", ["tea", "coffee", "4 cups", "1984 book"]),
        ("Query: tea\nQuestion 2: “coffee”\n**milk**", ["tea", "coffee", "milk"]),
        ("Sure, here it is:\n```\ntea\n```", ["tea"]),
        ("", []),
    ],
)
def test_queries_are_read_from_an_answer_as_models_write_them(answer, queries):
    assert read_queries(answer) == queries


@pytest.mark.parametrize("draw", [None, {"seed": 3, "from": 2, "to": 6}])
def test_what_a_run_finds_is_kept(tmp_path, caplog, draw):
    generator = np.random.default_rng(0)
    queries = [(f"q{number}", f"text {number}") for number in range(20)]
    run = [(query, f"p{place}", -float(rank)) for query, _ in queries for rank, place in enumerate(generator.permutation(20))]
    write_queries(tmp_path / "asked.parquet", queries, "asked")
    judged = [(query, f"p{number}", 1 + number % 2) for number, (query, _) in enumerate(queries)]
    write_qrels(tmp_path / "judged.parquet", pl.DataFrame(judged, schema=["query", "passage", "grade"], orient="row"), "judged")
    write_run(tmp_path / "first.run", pl.DataFrame(run, schema=["query", "passage", "score"], orient="row"), "first")
    given = tmp_path / "asked.parquet", tmp_path / "judged.parquet"
    settings = {"depth": 15, "relevance": 2, "draw": Draw.model_validate(draw) if draw else None}
    settings |= {"queries": tmp_path / "q", "qrels": tmp_path / "j"}
    keep_found(tmp_path / "first.run", *given, **settings)
    kept = [
        (query, text)
        for (query, text), (_, passage, grade) in zip(queries, judged, strict=True)
        if grade == 2 and any(row[:2] == (query, passage) and row[2] > -15 for row in run)
    ]
    assert f"{20 - len(kept)} of 20 queries left out" in caplog.text and 6 <= len(kept) < 10
    if draw:
        kept = [kept[row] for row in sorted(np.random.default_rng(3).permutation(len(kept))[2:6])]
    assert read_texts(tmp_path / "q").rows() == kept
    assert [row[0] for row in read_qrels(tmp_path / "j").rows()] == [query for query, _ in kept]
    write_qrels(tmp_path / "judged.parquet", pl.DataFrame({"query": ["q1"], "passage": ["p99"], "grade": [2]}), "judged")
    with pytest.raises(InputError, match=r"first\.run: no query of .* among its first 15\. Raise depth"):
        keep_found(tmp_path / "first.run", *given, **settings)
