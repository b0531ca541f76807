"""Teachers: RankGPT's two files, as language models really fill them, and a bi-encoder's mixed scores, become runs."""

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multistage.jobs.errors import InputError
from multistage.teachers.bi_encoder import rank_candidates
from multistage.teachers.permutations import parse_permutation
from multistage.teachers.rankgpt import read_rankings

QUERIES = pl.Series(["q1", "q2"])
# RankGPT's malformed answers for 20 passages, and how they begin and end when they are repaired; None: a refusal.
MALFORMED = [
    ("[2] > [1] > [4] > [3]", [2, 1, 4, 3, 5, 6], [19, 20]),
    ("[5] > [1] > [2] > [3] > [6] > [9] > [14] > [10] > [11] > [4] > [8] > [7] > [13] > [12] > [16] > [17] > [18] > "
     "[19] > [20].", [5, 1, 2, 3], [20, 15]),
    ("[1] > [2] > [3] > [6] > [7] > [8] > [9] > [1] > [11] > [15] > [17] > [4] > [10] > [12] > [13] > [14] > [16] > "
     "[18] > [5] > [19] > [20]", [1, 2, 3, 6, 7, 8, 9, 11], [5, 19, 20]),
    ("[1] > [2] > [3] > [5] > [6] > [7] > [8] > [9] > [11] > [12] > [13] > [16] > [17] > [1]4 > [15] > [4] > [18] > "
     "[19] > [20]", [1, 2, 3, 5], [20, 10, 14]),
    ('[No passages are directly related to the search query "what is the zip code for nw hills, tx". Therefore, none of '
     "the passages can be ranked based on their relevance to the query.]", None, None),
]  # fmt: skip


@pytest.fixture
def files(tmp_path):
    """Candidates of two queries, and an answer for each: a permutation and a refusal."""
    candidates, permutations = tmp_path / "candidates.jsonl", tmp_path / "permutations.json"
    with open(candidates, "w") as stream:
        for query, passages in (("q1", ["d1", "d2", "d3"]), ("q2", ["d2", "d9"])):
            retrieved = [{"docid": passage, "text": "…", "rank": rank} for rank, passage in enumerate(passages, start=1)]
            stream.write(json.dumps({"query_id": query, "query": "…", "retrieved_passages": retrieved}) + "\n")
    permutations.write_text('["[3] > [1] > [2]", "I cannot rank these 2 passages."]')
    return candidates, permutations


def test_a_permutation_becomes_scores_of_minus_the_rank(files):
    run, counts = read_rankings(*files, malformed="drop", queries=QUERIES)
    assert run.rows() == [("q1", "d3", -1.0), ("q1", "d1", -2.0), ("q1", "d2", -3.0)]
    assert counts == {"intact": 1, "refused": 1}


@pytest.mark.parametrize(("malformed", "outcome"), [("repair", "repaired"), ("drop", "dropped")])
def test_a_malformed_permutation_is_repaired_or_dropped(files, malformed, outcome):
    files[1].write_text('["[3] > [1] > [2]", "[2] > [2]"]')
    run, counts = read_rankings(*files, malformed=malformed, queries=QUERIES)
    assert run["passage"].to_list() == ["d3", "d1", "d2", *(["d9", "d2"] if malformed == "repair" else [])]
    assert counts == {"intact": 1, outcome: 1}


@pytest.mark.parametrize(("text", "begins", "ends"), MALFORMED)
def test_real_malformed_permutations_are_repaired_or_refused(text, begins, ends):
    found = parse_permutation(text, 20)
    if begins is None:
        assert found is None
    else:
        assert found.repaired and sorted(found.order) == list(range(1, 21))
        assert found.order[: len(begins)] == begins and found.order[-len(ends) :] == ends


@given(st.permutations(range(1, 21)))
def test_a_permutation_is_read_as_it_stands(order):
    assert parse_permutation(" > ".join(f"[{number}]" for number in order), 20) == (order, False)


@given(st.text(alphabet="[]0123456789 >.,a\n", max_size=80))
def test_whatever_is_parsed_is_a_permutation(text):
    found = parse_permutation(text, 8)
    assert found is None or sorted(found.order) == list(range(1, 9))


@pytest.mark.parametrize("text", ["", "I cannot rank these 3 passages.", "[0] > [9]", "[ ] > [ ]"])
def test_a_refusal_is_not_taken_for_a_ranking(text):
    assert parse_permutation(text, 3) is None


def test_other_queries_and_those_that_come_again_are_left_out_and_counted(files):
    lines = files[0].read_text().splitlines(keepends=True)
    files[0].write_text("".join([*lines, lines[0]]))
    files[1].write_text(json.dumps(["[3] > [1] > [2]", "[1] > [2]", "[1] > [2] > [3]"]))
    run, counts = read_rankings(*files, malformed="repair", queries=QUERIES[:1])
    assert run["passage"].to_list() == ["d3", "d1", "d2"]
    assert counts == {"intact": 1, "of other queries": 1, "repeated": 1}


@pytest.mark.parametrize(
    ("candidates", "permutations", "message"),
    [
        (None, '["[1]"]', "1 permutations for the 2 or more lines"),
        (None, '["[1]", "[1]", "[1]"]', "3 permutations for the 2 or more lines"),
        (None, '{"not": "a list"}', "expected a JSON list of strings"),
        (None, "[", "not JSON"),
        (None, '["no", "no"]', "it has no usable permutation"),
        ('{"query": "no id"}\n{}\n', None, r"candidates\.jsonl, line 1: not a RankGPT line"),
        (
            '{"query_id": "q1", "retrieved_passages": [{"docid": "d1"}, {"docid": "d1"}]}\n{}\n',
            None,
            r"candidates\.jsonl, line 1: a passage stands twice .* query 'q1'",
        ),
    ],
)
def test_what_is_wrong_with_the_files_is_named(files, candidates, permutations, message):
    for path, text in zip(files, (candidates, permutations), strict=True):
        if text is not None:
            path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_rankings(*files, malformed="repair", queries=QUERIES)


@pytest.mark.parametrize(
    ("weight", "order", "scores"),
    [(0.0, [0, 2, 1], [1, 0.5, 0]), (1.0, [1, 2, 0], [1, 0.875, 0]), (0.5, [2, 0, 1], [0.6875, 0.5, 0.5])],
)
def test_a_bi_encoders_scores_are_the_weighted_sum_of_scaled_scores(weight, order, scores):
    """At equal weights passages 0 and 1 tie, the best of one ranking and the worst of the other: the first stage decides."""
    cosines, lengths = np.array([0.1, 0.9, 0.8, 0.5]), np.array([1, 2, 0.5, 3])
    passage_vectors = (np.stack([cosines, np.sqrt(1 - cosines**2)], axis=1) * lengths[:, None]).astype(np.float32)
    query_vectors = np.array([[1, 0], [7, 0]], dtype=np.float32)
    run = pl.DataFrame({"query": [1, 1, 1, 0], "passage": [0, 2, 1, 3], "score": [10.0, 6.0, 2.0, 1.0]})
    ranked = rank_candidates(run.cast({"score": pl.Float32}), query_vectors, passage_vectors, weight)
    assert ranked["query"].to_list() == [1, 1, 1, 0] and ranked["score"][3] == 0
    best_first = ranked.head(3).sort("score", descending=True)
    assert best_first["passage"].to_list() == order and best_first["score"].is_unique().all()
    assert best_first["score"].to_list() == pytest.approx(scores, abs=1e-6)
