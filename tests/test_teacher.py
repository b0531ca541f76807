"""Teachers: the fused order, RankGPT's two files, and back to a run."""

import json

import numpy as np
import pandas as pd
import pytest

from jobs.errors import InputError
from teacher.bi_encoder import rank_candidates
from teacher.rankgpt import TaughtQuery, read_rankings, write_rankings
from trec.runs import read_run

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
    assert run["passage"].tolist() == ["d3", "d1", "d2", "d2", "d9"]
    assert run["score"].tolist() == pytest.approx([0.9, 0.2, 0.1, 0.5, 0.25])


def test_rankings_come_back_as_a_run(files):
    run, counts = read_rankings(*files, malformed="repair")
    assert run["passage"].tolist() == ["d3", "d1", "d2", "d2", "d9"]
    assert run["score"].tolist() == [-1, -2, -3, -1, -2]
    assert vars(counts) == {"intact": 2, "repaired": 0, "dropped": 0, "refused": 0}


@pytest.mark.parametrize(
    ("malformed", "queries", "expected"),
    [("repair", ["q1"], {"intact": 0, "repaired": 1, "dropped": 0, "refused": 1}), ("drop", [], None)],
)
def test_malformed_ones_are_repaired_or_dropped_and_counted(files, malformed, queries, expected):
    files[1].write_text(json.dumps(["[3] > [3]", "Sorry, I cannot."]))
    if expected is None:
        with pytest.raises(InputError, match=r"no usable permutation in it .*'dropped': 1, 'refused': 1"):
            read_rankings(*files, malformed=malformed)
        return
    run, counts = read_rankings(*files, malformed=malformed)
    assert run["query"].unique().tolist() == queries and run["passage"].tolist() == ["d3", "d1", "d2"]
    assert vars(counts) == expected


@pytest.mark.parametrize("permutations", [["[1]"], ["[1]"] * 3])
def test_files_that_do_not_align_are_an_error(files, permutations):
    files[1].write_text(json.dumps(permutations))
    with pytest.raises(InputError, match="permutations for the 2 or more lines"):
        read_rankings(*files, malformed="repair")


def test_a_line_of_another_format_is_named(files):
    files[0].write_text('{"query": "no id"}\n{}\n')
    with pytest.raises(InputError, match=r"candidates\.jsonl, line 1: not a RankGPT line"):
        read_rankings(*files, malformed="repair")
    files[1].write_text('{"not": "a list"}')
    with pytest.raises(InputError, match="expected a JSON list of strings"):
        read_rankings(*files, malformed="repair")


def test_the_order_is_the_weighted_sum_of_scaled_scores():
    queries = pd.DataFrame({"id": ["q0", "q1"], "text": ["zero", "one"]})
    passages = pd.DataFrame({"id": ["a", "b", "c", "d"], "text": ["A", "B", "C", "D"]})
    run = pd.DataFrame({"query": ["q1"] * 3 + ["q0"], "passage": ["a", "c", "b", "d"], "score": [10.0, 6.0, 2.0, 1.0]})
    run["score"] = run["score"].astype("float32")
    similarity = {"a": 0.1, "b": 0.9, "c": 0.8, "d": 0.5}
    passage_vectors = np.array([[similarity[name]] for name in "abcd"], dtype=np.float32)
    query_vectors = np.ones((2, 1), dtype=np.float32)
    for weight, order in [(0.0, "acb"), (1.0, "bca"), (0.5, "cab")]:
        found = list(rank_candidates(run, queries, passages, query_vectors, passage_vectors, weight, "run"))
        assert [item.query for item in found] == ["q1", "q0"] and found[1].order == [1]
        assert found[0].candidates == [("a", "A"), ("c", "C"), ("b", "B")]
        # 0.5: a = 0 + 0.5, c = 0.4375 + 0.25, b = 0.5 + 0; a and b tie and keep the first stage's order.
        assert "".join(found[0].candidates[place - 1][0] for place in found[0].order) == order
