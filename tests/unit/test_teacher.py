"""Teachers: RankGPT's two files, as language models really fill them, and a bi-encoder's mixed scores, become runs."""

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranx import Run, fuse
from test_evaluation import nested

from multistage.retrieval.mean import mean_run
from multistage.teachers.bi_encoder import rank_candidates
from multistage.teachers.rankgpt import parse_permutation, read_rankings

QUERIES = pl.Series(["q1", "q2"])
# RankGPT's malformed answers for 20 passages, and how they begin and end when they are repaired; nothing: a refusal.
MALFORMED = [
    ("[2] > [1] > [4] > [3]", [2, 1, 4, 3, 5, 6], [19, 20]),
    ("[1] > [2] > [3] > [5] > [6] > [7] > [8] > [9] > [11] > [12] > [13] > [16] > [17] > [1]4 > [15] > [4] > [18] > "
     "[19] > [20]", [1, 2, 3, 5], [20, 10, 14]),
    ('[No passages are directly related to the search query "what is the zip code for nw hills, tx". Therefore, none of '
     "the passages can be ranked based on their relevance to the query.]", [], []),
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


@pytest.mark.parametrize(
    ("answer", "malformed", "order", "told"),
    [
        ("I cannot rank these 2 passages.", "drop", [], "1 permutations left out: they are refusals"),
        ("[2] > [2]", "repair", ["d9", "d2"], "1 permutations repaired"),
        ("[2] > [2]", "drop", [], "1 permutations left out: they are malformed"),
        ("[2] > [1]", "drop", ["d9", "d2"], "2 permutations intact"),
    ],
)
def test_a_permutation_becomes_scores_of_minus_the_rank(files, caplog, answer, malformed, order, told):
    files[1].write_text(json.dumps(["[3] > [1] > [2]", answer]))
    caplog.set_level("INFO")
    run = read_rankings(*files, malformed=malformed, queries=QUERIES)
    expected = [("q1", "d3", -1), ("q1", "d1", -2), ("q1", "d2", -3)]
    assert run.rows() == expected + [("q2", passage, -rank) for rank, passage in enumerate(order, start=1)]
    assert told in caplog.text


@pytest.mark.parametrize(("text", "begins", "ends"), MALFORMED)
def test_real_malformed_permutations_are_repaired_or_refused(text, begins, ends):
    found = parse_permutation(text, 20)
    assert sorted(found) == (list(range(1, 21)) if begins else [])
    assert found[: len(begins)] == begins and found[-len(ends) :] == ends


@given(st.text(alphabet="[]0123456789 >.,a\n", max_size=80) | st.sampled_from(["[0] > [9]", "[ ] > [ ]"]))
def test_whatever_is_parsed_is_a_permutation(text):
    found = parse_permutation(text, 8)
    assert not found or sorted(found) == list(range(1, 9))


def test_other_queries_and_those_that_come_again_are_left_out_and_counted(files, caplog):
    lines = files[0].read_text().splitlines(keepends=True)
    files[0].write_text("".join([*lines, lines[0]]))
    files[1].write_text(json.dumps(["[3] > [1] > [2]", "[1] > [2]", "[1] > [2] > [3]"]))
    run = read_rankings(*files, malformed="repair", queries=QUERIES[:1])
    assert run["passage"].to_list() == ["d3", "d1", "d2"]
    for reason in ("are not in the query set", "have one already"):
        assert f"1 permutations left out: their queries {reason}" in caplog.text


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


@pytest.mark.parametrize("norm", ["min-max", "zmuv", "rrf"])
def test_a_mean_is_the_weighted_sum_of_ranx(norm):
    """Of three runs with scores of other sizes, one of which lacks some passages, and one of which scores all the same; ranks,
    of which ranx takes tied passages as they come, need scores that differ."""
    random = np.random.default_rng(3)
    whole = [(query, passage) for query in range(4) for passage in range(9)]
    pairs = [whole, [pair for pair in whole if sum(pair) % 3], whole]
    scores = [random.normal(5, 3, len(pairs[0])), -random.exponential(90, len(pairs[1])), np.ones(len(pairs[2]))]
    scores[2] = random.normal(0, 1, len(pairs[2])) if norm == "rrf" else scores[2]
    runs = [
        pl.DataFrame(own, {"query": pl.Int32, "passage": pl.Int32}, orient="row")
        .with_columns(score=pl.Series(score, dtype=pl.Float32))
        .sort("query", "score", descending=[False, True])
        for own, score in zip(pairs, scores, strict=True)
    ]
    theirs = [Run.from_dict(as_dict(run)) for run in runs]
    if norm == "rrf":
        expected = {
            query: {name: x / 3 for name, x in own.items()} for query, own in fuse(theirs, method="rrf").to_dict().items()
        }
    else:
        expected = fuse(theirs, norm=norm, method="wsum", params={"weights": [1 / 3] * 3}).to_dict()
    found = as_dict(mean_run(runs, norm))
    assert found.keys() == expected.keys()
    for query, own in found.items():
        assert own == pytest.approx(expected[query], abs=1e-5 if norm != "rrf" else 1e-8)


def as_dict(run):
    return nested(run.cast({"query": pl.String, "passage": pl.String}))
