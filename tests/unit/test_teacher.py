"""Teachers: the fused order, RankGPT's two files, and back to a run."""

import json
import zipfile

import numpy as np
import polars as pl
import pytest

from multistage.data.runs import read_run, with_ids
from multistage.jobs.errors import InputError
from multistage.teachers.bi_encoder import rank_candidates
from multistage.teachers.rankgpt import TaughtQuery, read_rankings, write_rankings
from multistage.teachers.scored_run import write_scored_run

QUERIES = pl.Series(["q1", "q2"])

TAUGHT = [
    TaughtQuery("q1", "first query", [("d1", "one"), ("d2", "two"), ("d3", "three")], [0.2, 0.1, 0.9], [3, 1, 2]),
    TaughtQuery("q2", "second query", [("d2", "two"), ("d9", "nine")], [0.5, 0.25], [1, 2]),
]


@pytest.fixture
def files(tmp_path):
    paths = tmp_path / "candidates.jsonl", tmp_path / "permutations.json"
    write_rankings(TAUGHT, *paths, tmp_path / "scores.run", tag="teacher")
    return paths


def test_files_are_rankgpts(files):
    line = json.loads(files[0].read_text().splitlines()[0])
    assert line["query_id"] == "q1" and line["query"] == "first query"
    assert line["retrieved_passages"][2] == {"docid": "d3", "text": "three", "rank": 3}
    assert json.loads(files[1].read_text()) == ["[3] > [1] > [2]", "[1] > [2]"]


def test_scores_are_a_run(files, tmp_path):
    run = read_run(tmp_path / "scores.run")
    assert run["passage"].to_list() == ["d3", "d1", "d2", "d2", "d9"]
    assert run["score"].to_list() == pytest.approx([0.9, 0.2, 0.1, 0.5, 0.25])


def test_rankings_come_back_as_a_run(files):
    run, counts = read_rankings(*files, malformed="repair", queries=QUERIES)
    assert run["passage"].to_list() == ["d3", "d1", "d2", "d2", "d9"]
    assert run["score"].to_list() == [-1, -2, -3, -1, -2]
    assert vars(counts) == {"intact": 2, "repaired": 0, "dropped": 0, "refused": 0, "left_out": 0, "repeated": 0}


@pytest.mark.parametrize(
    ("malformed", "queries", "expected"),
    [
        ("repair", ["q1"], {"intact": 0, "repaired": 1, "dropped": 0, "refused": 1, "left_out": 0, "repeated": 0}),
        ("drop", [], None),
    ],
)
def test_malformed_ones_are_repaired_or_dropped_and_counted(files, malformed, queries, expected):
    files[1].write_text(json.dumps(["[3] > [3]", "Sorry, I cannot."]))
    if expected is None:
        with pytest.raises(InputError, match=r"no usable permutation in it .*'dropped': 1, 'refused': 1"):
            read_rankings(*files, malformed=malformed, queries=QUERIES)
        return
    run, counts = read_rankings(*files, malformed=malformed, queries=QUERIES)
    assert run["query"].unique(maintain_order=True).to_list() == queries and run["passage"].to_list() == ["d3", "d1", "d2"]
    assert vars(counts) == expected


@pytest.mark.parametrize("permutations", [["[1]"], ["[1]"] * 3])
def test_files_that_do_not_align_are_an_error(files, permutations):
    files[1].write_text(json.dumps(permutations))
    with pytest.raises(InputError, match="permutations for the 2 or more lines"):
        read_rankings(*files, malformed="repair", queries=QUERIES)


def test_other_queries_and_those_that_come_again_are_left_out_and_counted(files):
    lines = files[0].read_text().splitlines(keepends=True)
    files[0].write_text("".join([*lines, lines[0]]))
    files[1].write_text(json.dumps(["[3] > [1] > [2]", "no ranking", "[1] > [2] > [3]"]))
    run, counts = read_rankings(*files, malformed="repair", queries=QUERIES[:1])
    assert run["passage"].to_list() == ["d3", "d1", "d2"]
    assert vars(counts) == {"intact": 1, "repaired": 0, "dropped": 0, "refused": 0, "left_out": 1, "repeated": 1}


def test_the_candidates_may_lie_in_a_zip(files, tmp_path):
    packed = tmp_path / "marco.jsonl.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(files[0], "marco-train.jsonl")
    assert read_rankings(packed, files[1], malformed="repair", queries=QUERIES)[0].equals(
        read_rankings(*files, malformed="repair", queries=QUERIES)[0]
    )


def test_a_passage_that_is_retrieved_twice_is_named(files):
    files[0].write_text(files[0].read_text().replace("d3", "d1"))
    with pytest.raises(InputError, match=r"candidates\.jsonl, line 1: a passage stands twice .* query 'q1'"):
        read_rankings(*files, malformed="repair", queries=QUERIES)


def test_a_run_is_a_teacher_with_scores_and_an_order(tmp_path):
    source = tmp_path / "rank-distillm.run"
    source.write_text("q2 Q0 d1 1 0.5 z\nq2 Q0 d2 2 0.5 z\nq2 Q0 d3 3 0.9 z\nother Q0 d7 1 1 z\nq1 Q0 d2 1 -1.5 z\n")
    passages = pl.Series(["d1", "d2", "d3"])
    run = read_run(source, 2, queries=QUERIES, passages=passages)
    write_scored_run(with_ids(run, QUERIES, passages), tmp_path / "a.run", tmp_path / "a.scores.run", tag="teacher")
    order, scores = read_run(tmp_path / "a.run"), read_run(tmp_path / "a.scores.run")
    assert order["passage"].to_list() == scores["passage"].to_list() == ["d3", "d2", "d2"]
    assert order["score"].to_list() == [-1, -2, -1]
    assert scores["score"].to_list() == pytest.approx([0.9, 0.5, -1.5])


def test_a_line_of_another_format_is_named(files):
    files[0].write_text('{"query": "no id"}\n{}\n')
    with pytest.raises(InputError, match=r"candidates\.jsonl, line 1: not a RankGPT line"):
        read_rankings(*files, malformed="repair", queries=QUERIES)
    files[1].write_text('{"not": "a list"}')
    with pytest.raises(InputError, match="expected a JSON list of strings"):
        read_rankings(*files, malformed="repair", queries=QUERIES)


def test_the_order_is_the_weighted_sum_of_scaled_scores():
    queries = pl.DataFrame({"id": ["q0", "q1"], "text": ["zero", "one"]})
    passages = pl.DataFrame({"id": ["a", "b", "c", "d"], "text": ["A", "B", "C", "D"]})
    run = pl.DataFrame({"query": [1, 1, 1, 0], "passage": [0, 2, 1, 3], "score": [10.0, 6.0, 2.0, 1.0]})
    similarity = {"a": 0.1, "b": 0.9, "c": 0.8, "d": 0.5}
    passage_vectors = np.array([[similarity[name]] for name in "abcd"], dtype=np.float32)
    query_vectors = np.ones((2, 1), dtype=np.float32)
    for weight, order in [(0.0, "acb"), (1.0, "bca"), (0.5, "cab")]:
        found = list(rank_candidates(run, queries, passages, query_vectors, passage_vectors, weight))
        assert [item.query for item in found] == ["q1", "q0"] and found[1].order == [1]
        assert found[0].candidates == [("a", "A"), ("c", "C"), ("b", "B")]
        # 0.5: a = 0 + 0.5, c = 0.4375 + 0.25, b = 0.5 + 0; a and b tie and keep the first stage's order.
        assert "".join(found[0].candidates[place - 1][0] for place in found[0].order) == order
