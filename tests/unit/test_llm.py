"""A language model on loopback as teacher: RankGPT's windows, servers that fail, limits; kills, while it writes queries too."""

import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from loopback import Model, by_overlap, chat_server
from multistage.config.data import Server
from multistage.config.ranking import LLM
from multistage.data.runs import write_run
from multistage.data.tables import write_texts
from multistage.jobs.errors import InputError
from multistage.sources.chat import chat
from multistage.sources.generated import generate_queries
from multistage.teachers.rankgpt import conversation, rank_by_windows, windows

WORDS = ["amber", "basin", "cedar", "delta", "ember", "fjord", "grove", "heath"]
draws = random.Random(1)
PASSAGES = {f"p{number}": " ".join(draws.sample(WORDS, 4)) for number in range(40)}
QUERIES = {f"q{number}": " ".join(draws.sample(WORDS, 4)) for number in range(12)}
CANDIDATES = {query: draws.sample(list(PASSAGES), 9) for query in QUERIES}
ROWS = [(query, name, -float(rank)) for query, names in CANDIDATES.items() for rank, name in enumerate(names)]
RUN = pl.DataFrame(ROWS, schema={"query": pl.String, "passage": pl.String, "score": pl.Float32}, orient="row")
REQUESTS = 3 * len(QUERIES)  # windows of 4 by 3 over 9 candidates: 5 to 9, 2 to 6, 0 to 3


def teach(url, folder, **changes):
    """Rank all candidates, as the rule's script does, and return the run's bytes."""
    entry = {"kind": "llm", "base_url": url, "model": "judge", "retriever": "bm25", "window": 4, "step": 3, "timeout": 1.0}
    server = LLM.model_validate(entry | changes)
    with chat(server, folder / "answers.jsonl") as asking:
        run = rank_by_windows(RUN, QUERIES, PASSAGES, window=server.window, step=server.step, chat=asking)
    write_run(folder / "teacher.run", run, tag="judge")
    return (folder / "teacher.run").read_bytes()


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The run of a sound server, asked for one thing at a time."""
    with chat_server(Model(by_overlap)) as model:
        return teach(model.url, tmp_path_factory.mktemp("sound"), parallel=1)


def test_windows_go_from_the_end_to_the_front(tmp_path, expected):
    """Against RankGPT's loop, with a last window that it leaves out, and a model's order of each window."""
    lines = []
    for query, names in CANDIDATES.items():
        order, stop = list(names), len(names)
        for start in (5, 2, 0):
            part = order[start:stop][::-1]
            order[start:stop] = sorted(part, key=lambda name: -len({*QUERIES[query].split()} & {*PASSAGES[name].split()}))
            stop -= 3
        lines += [f"{query} Q0 {name} {rank} -{rank} judge" for rank, name in enumerate(order, start=1)]
    assert expected.decode().splitlines() == lines
    assert [list(windows(size, 20, 10)) for size in (0, 1, 20, 21)] == [[], [], [(0, 20)], [(1, 21), (0, 11)]]


def test_the_conversation_is_the_published_one():
    said = [(message["role"], message["content"]) for message in conversation("hot springs", ["a b", "word " * 400])]
    assert said[1:4] == [
        ("user", "I will provide you with 2 passages, each indicated by number identifier []. \n"
                 "Rank the passages based on their relevance to query: hot springs."),
        ("assistant", "Okay, please provide the passages."),
        ("user", "[1] a b"),
    ]  # fmt: skip
    assert said[5:7] == [("user", "[2] " + " ".join(["word"] * 300)), ("assistant", "Received passage [2].")]
    assert said[7][1].startswith("Search Query: hot springs. \nRank the 2 passages above") and len(said) == 8


@pytest.mark.parametrize(
    ("answer", "start", "told"),
    [
        ("[2] > [2] > [99] > [1]", [1, 0, 2, 3], "36 answers repaired"),
        ("[4] > [3] > [2] > [1]\n", [3, 2, 1, 0], "12 answers repaired"),  # the last window has three passages
        ("<think>[4] is bad,\n[3] too.</think>\n[2], then the others.", [1, 0, 2, 3], "36 answers repaired"),
    ],
)
def test_malformed_answers_are_repaired_and_counted(tmp_path, caplog, answer, start, told):
    with chat_server(Model(lambda messages: answer)) as model:
        first = [line.split()[2] for line in teach(model.url, tmp_path, window=9, step=1).decode().splitlines()[:4]]
        assert first == [CANDIDATES["q0"][place] for place in start] and "12 answers repaired" in caplog.text
        caplog.clear()
        teach(model.url, tmp_path)
    assert told in caplog.text


def test_refusals_leave_a_window_as_it_is_and_queries_with_nothing_else_out(tmp_path, caplog):
    refusing = Model(lambda messages: "" if QUERIES["q3"] in messages[1]["content"] else by_overlap(messages))
    with chat_server(refusing) as model:
        assert b"q3 " not in teach(model.url, tmp_path)
    assert "1 queries left out" in caplog.text and "3 answers refusals" in caplog.text
    with chat_server(Model(lambda messages: "I cannot.")) as model, pytest.raises(InputError, match="refusals"):
        teach(model.url, tmp_path)


@pytest.mark.parametrize("fault", [429, 500, "cut", "slow", "gone"])
def test_what_passes_is_asked_again(tmp_path, fault, expected):
    with chat_server(Model(by_overlap, lambda number: fault if number in (0, 7) else None)) as model:
        assert teach(model.url, tmp_path, parallel=1 if fault == "slow" else 3) == expected
    assert len(model.asked) == REQUESTS + 2 and len(set(model.answered)) == REQUESTS


@pytest.mark.parametrize(
    ("fault", "changes", "told"),
    [
        (429, {"retries": 1}, "does not answer, after 1 retries"),
        (503, {"retries": 0}, "does not answer"),
        ("cut", {"retries": 0}, "does not answer"),
        ("page", {}, "not one of OpenAI's chat API"),
        (404, {}, "does not have the model judge"),
        (400, {}, "refuses a request"),
        (401, {}, "api_key_env"),
        (None, {"max_requests": 9}, "max_requests, which is 9"),
        (None, {"max_tokens": 12_000}, "max_tokens, which is 12,000"),
    ],
)
def test_what_lasts_ends_in_one_message_and_the_next_run_goes_on(tmp_path, caplog, fault, changes, told, expected):
    caplog.set_level(logging.INFO)
    sound = 0 if fault is None else 9
    with chat_server(Model(by_overlap, lambda number: fault if number >= sound else None)) as model:
        with pytest.raises(InputError) as ended:
            teach(model.url, tmp_path, parallel=2, **changes)
        kept = len((tmp_path / "answers.jsonl").read_text().splitlines())
        assert told in str(ended.value) and (model.url in str(ended.value) or fault is None)
        assert "run again" in str(ended.value).lower() or fault in (401, 404)
        assert kept == len(model.answered) <= 9 and not (tmp_path / "teacher.run").exists()
        assert len(model.asked) <= kept + 4  # two at once, and their retries
        model.fault = lambda number: None
        assert teach(model.url, tmp_path) == expected
    assert max(Counter(model.answered).values()) == 1
    assert f"{REQUESTS} requests answered, {REQUESTS - kept} of them now" in caplog.text


def test_the_key_is_from_the_environment_and_never_told(tmp_path, caplog, monkeypatch, expected):
    caplog.set_level(logging.DEBUG)
    with chat_server(Model(by_overlap, key="sk-right")) as model:
        for key, told in ((None, "is not set"), ("sk-\u2013", "holds no key"), ("sk-wrong", "LLM_KEY")):
            if key:
                monkeypatch.setenv("LLM_KEY", key)
            with pytest.raises(InputError, match=told) as ended:
                teach(model.url, tmp_path, api_key_env="LLM_KEY")
            assert "sk-" not in str(ended.value)
        assert not model.answered
        monkeypatch.setenv("LLM_KEY", "sk-right\n")
        assert teach(model.url, tmp_path, api_key_env="LLM_KEY") == expected
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-server")
        with pytest.raises(InputError, match="api_key_env") as ended:
            teach(model.url, tmp_path, model="other")
    assert "sk-" not in caplog.text + str(ended.value) + (tmp_path / "answers.jsonl").read_text()


def test_tokens_and_money_are_counted(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    with chat_server(Model(by_overlap)) as model:
        teach(model.url, tmp_path, price_read=2e6, price_written=1e6)
    read = sum(map(len, model.answered))
    assert f"{read:,} tokens read and {7 * REQUESTS:,} written; {2 * read + 7 * REQUESTS}.00 to pay" in caplog.text


def teach_and_write(url, folder):
    """Rank all candidates, then write a query for each of as many passages as that took requests."""
    teach(url, folder, parallel=3)
    write_texts(folder / "passages", PASSAGES.items(), "passages")
    server = Server.model_validate({"base_url": url, "model": "writer", "parallel": 3})
    files = {"queries": folder / "queries", "qrels": folder / "qrels"}
    with chat(server, folder / "asked.jsonl") as asking:
        generate_queries(folder / "passages", sample=REQUESTS, per_passage=1, seed=7, chat=asking, **files)


def test_killed_at_ten_moments_it_asks_nothing_twice_and_ends_the_same(tmp_path):
    """A ranking of candidates, and then the writing of queries."""
    code = "import sys, pathlib, test_llm; test_llm.teach_and_write(sys.argv[1], pathlib.Path(sys.argv[2]))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], str(Path(__file__).parent)])}
    process, moments = None, {1, 6, 13, 27, 38, 43, 49, 55, 66, 80}

    def kill(number):
        if number not in moments:
            return None
        time.sleep(0.1)  # what was answered before has arrived
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        return "gone"

    def reply(messages):
        return by_overlap(messages) or "what about " + messages[-1]["content"].partition("\n")[0]

    sound, killed = tmp_path / "sound", tmp_path / "killed"
    sound.mkdir()
    killed.mkdir()
    with chat_server(Model(reply)) as model:
        teach_and_write(model.url, sound)
    with chat_server(Model(reply, kill)) as model:
        ends = []
        while ends[-1:] != [0] and len(ends) < 20:
            process = subprocess.Popen([sys.executable, "-c", code, model.url, str(killed)], env=environment)
            ends.append(process.wait())
    assert ends == [-signal.SIGKILL] * len(moments) + [0]
    assert all((killed / name).read_bytes() == (sound / name).read_bytes() for name in ("teacher.run", "queries", "qrels"))
    assert len(model.answered) == len(set(model.answered)) == 2 * REQUESTS


def test_a_line_that_a_kill_cut_is_asked_for_again_and_a_damaged_one_is_named(tmp_path, expected):
    answers = tmp_path / "answers.jsonl"
    with chat_server(Model(by_overlap)) as model:
        teach(model.url, tmp_path)
        answers.write_bytes(answers.read_bytes()[:-9])
        assert teach(model.url, tmp_path) == expected and len(model.asked) == REQUESTS + 1
        answers.write_text(json.dumps({"request": "x"}) + "\n" + answers.read_text())
        with pytest.raises(InputError, match=r"answers\.jsonl, line 1: not an answer"):
            teach(model.url, tmp_path)
