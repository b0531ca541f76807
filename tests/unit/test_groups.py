"""Candidates become groups; sampling depends on seed, epoch and query alone; batches hold every pair once."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multistage.data import candidates as candidates_module
from multistage.data.candidates import (
    candidate_matrix,
    contrastive_groups,
    distillation_groups,
    read_matrix,
    validation_set,
    write_matrix,
)
from multistage.data.groups import MATRICES, Groups, GroupSampler
from multistage.jobs.errors import InputError
from multistage.scoring.batches import by_token_budget

QUERIES = pl.Series(["q0", "q1", "q2", "q3"])
PASSAGES = pl.Series([f"p{n}" for n in range(10)])
# A run of rows.
RUN = pl.DataFrame({"query": [0, 0, 0, 1, 1, 3], "passage": [1, 2, 3, 4, 5, 7], "score": [9.0, 8.0, 7.0, 9.0, 8.0, 1.0]})
QRELS = pl.DataFrame(
    [("q0", "p2", 1), ("q1", "p9", 2), ("q1", "p8", 1), ("q2", "p0", 0), ("q3", "p7", 1)],
    schema=["query", "passage", "grade"],
    orient="row",
)


CANDIDATES = np.array([[1, 2, 3, -1], [4, 5, -1, -1], [-1] * 4, [7, -1, -1, -1]], dtype=np.int32)


def plain_groups(run, qrels, queries, passages):
    """Contrastive groups query by query, as lists of (passage row, rank)."""
    ranked = {}
    for row, query in enumerate(queries):
        positives = [passages.to_list().index(p) for q, p, grade in qrels.rows() if q == query and grade > 0]
        negatives = [passage for q, passage in run if q == row and passage not in positives]
        if positives and negatives:
            ranked[row] = [(passage, 1) for passage in positives] + [(passage, 2) for passage in negatives]
    return Groups.from_lists("contrastive", list(ranked), list(ranked.values()))


@st.composite
def collections(draw):
    """A run as pairs of rows and judgements of a small collection, some queries of which are in neither."""
    queries, passages = pl.Series([f"q{n}" for n in range(9)]), pl.Series([f"p{n}" for n in range(8)])
    pairs = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 7)), unique=True, max_size=40)
    run = sorted(draw(pairs), key=lambda pair: pair[0])
    qrels = [(f"q{query}", f"p{passage}", draw(st.integers(0, 3))) for query, passage in draw(pairs)]
    schema = {"query": pl.String, "passage": pl.String, "grade": pl.Int16}
    return run, pl.DataFrame(qrels, schema=schema, orient="row"), queries, passages


@settings(deadline=None)
@given(collections(), st.integers(1, 9), st.integers(1, 12))
def test_contrastive_groups_are_those_made_query_by_query(collection, depth, at_once):
    run, qrels, queries, passages = collection
    run = [pair for place, pair in enumerate(run) if sum(query == pair[0] for query, _ in run[:place]) < depth]
    table = pl.DataFrame(run, schema={"query": pl.Int32, "passage": pl.Int32}, orient="row")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates_module, "QUERIES_AT_ONCE", at_once)
        groups, counts = contrastive_groups(candidate_matrix(table, len(queries), depth), qrels, queries, passages, "qrels")
    expected = plain_groups(run, qrels, queries, passages)
    for name in MATRICES:
        found, wanted = getattr(groups, name), getattr(expected, name)
        assert np.array_equal(found, wanted) and found.dtype == wanted.dtype and found.shape == wanted.shape
    assert counts.kept + counts.no_relevant + counts.no_candidates == len(queries)


def test_a_candidate_matrix_survives_the_file(tmp_path):
    run = pl.DataFrame({"query": [2, 2, 2, 0, 1, 1], "passage": [5, 3, 4, 1, 3, 0]})
    matrix = candidate_matrix(run, 4, 3)
    assert matrix.tolist() == [[1, -1, -1], [3, 0, -1], [5, 3, 4], [-1, -1, -1]] and matrix.dtype == np.int32
    write_matrix(tmp_path / "candidates.safetensors", matrix)
    assert np.array_equal(read_matrix(tmp_path / "candidates.safetensors"), matrix)


def test_contrastive_groups_hold_every_relevant_passage_and_no_false_negative():
    groups, counts = contrastive_groups(CANDIDATES, QRELS, QUERIES, PASSAGES, "qrels")
    assert groups.queries.tolist() == [0, 1]
    assert groups.passages.tolist() == [[2, 1, 3, -1], [9, 8, 4, 5]]
    assert groups.ranks.tolist() == [[1, 2, 2, 0], [1, 1, 2, 2]]
    assert (counts.kept, counts.no_relevant, counts.no_candidates) == (2, 1, 1)


def test_distillation_groups_keep_the_teachers_order():
    groups, counts = distillation_groups(RUN, len(QUERIES), scored=True)
    assert groups.queries.tolist() == [0, 1]
    assert groups.passages.tolist() == [[1, 2, 3], [4, 5, -1]]
    assert groups.ranks.tolist() == [[1, 2, 3], [1, 2, 0]]
    assert np.array_equal(groups.teacher, np.array([[9, 8, 7], [9, 8, np.nan]], dtype=np.float32), equal_nan=True)
    assert (counts.kept, counts.no_candidates) == (2, 2)


def test_a_passage_that_is_not_in_the_collection_is_an_error():
    with pytest.raises(InputError, match="qrels: passage 'p8' is not in the collection"):
        contrastive_groups(CANDIDATES, QRELS, QUERIES, PASSAGES[[0, 1, 2, 3, 4, 5, 7, 9]], "qrels")


def test_validation_set_grades_its_candidates():
    chosen = validation_set(RUN, QRELS, QUERIES, PASSAGES, limit=2)
    assert chosen.queries.tolist() == [0, 1]
    assert chosen.passages.tolist() == [[1, 2, 3], [4, 5, -1]]
    assert chosen.grades.tolist() == [[0, 1, 0], [0, 0, 0]]


def test_groups_survive_the_file(tmp_path):
    for groups in (
        contrastive_groups(CANDIDATES, QRELS, QUERIES, PASSAGES, "qrels")[0],
        distillation_groups(RUN, len(QUERIES), scored=True)[0],
    ):
        groups.write(tmp_path / "groups.safetensors", {"kept": 2})
        again = Groups.read(tmp_path / "groups.safetensors")
        assert again.kind == groups.kind
        for name in MATRICES:
            assert np.array_equal(getattr(again, name), getattr(groups, name), equal_nan=name == "teacher")


def test_the_same_groups_are_the_same_bytes(tmp_path):
    groups, counts = contrastive_groups(CANDIDATES, QRELS, QUERIES, PASSAGES, "qrels")
    for number in range(12):
        groups.write(tmp_path / f"{number}.safetensors", vars(counts))
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_an_empty_training_set_is_an_error(tmp_path):
    Groups.from_lists("contrastive", [], []).write(tmp_path / "groups.safetensors", {})
    with pytest.raises(InputError, match="no training group is left"):
        Groups.read(tmp_path / "groups.safetensors")


@st.composite
def any_groups(draw):
    kind = draw(st.sampled_from(["contrastive", "distillation"]))
    ranked = []
    for _ in range(draw(st.integers(1, 6))):
        size = draw(st.integers(2, 9))
        relevant = draw(st.integers(1, size - 1))
        ranks = range(1, size + 1) if kind == "distillation" else [1] * relevant + [2] * (size - relevant)
        ranked.append(list(enumerate(ranks)))
    return Groups.from_lists(kind, list(range(len(ranked))), ranked)


@given(any_groups(), st.integers(2, 6), st.integers(1, 5), st.integers(0, 2**31))
def test_a_step_is_the_same_whenever_it_is_drawn(groups, group_size, queries_per_step, seed):
    forward = GroupSampler(groups, group_size, queries_per_step, seed)
    steps = [forward.step(step) for step in range(6)]
    for step in reversed(range(6)):
        again = GroupSampler(groups, group_size, queries_per_step, seed).step(step)
        for one, other in zip(
            (*steps[step][:-1], *steps[step].targets.values()), (*again[:-1], *again.targets.values()), strict=True
        ):
            assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


@given(any_groups(), st.integers(2, 6), st.integers(1, 5), st.integers(0, 2**31))
def test_groups_are_what_they_should_be(groups, group_size, queries_per_step, seed):
    sampler = GroupSampler(groups, group_size, queries_per_step, seed)
    seen = []
    for number in range(5):
        step = sampler.step(number)
        for group in range(queries_per_step):
            members = step.group == group
            line = int(step.query_rows[members][0])
            seen.append(line)
            passages, ranks = step.passage_rows[members].tolist(), step.targets["order"][group][: members.sum()].tolist()
            known = dict(zip(groups.passages[line].tolist(), groups.ranks[line].tolist(), strict=True))
            assert len(set(passages)) == len(passages) <= group_size
            assert ranks == [known[passage] for passage in passages]
            assert not step.targets["order"][group][members.sum() :].any()
            if groups.kind == "contrastive":
                assert ranks.count(1) == 1 and len(ranks) == min(group_size, 1 + list(known.values()).count(2))
            else:
                assert ranks == sorted(ranks) and len(ranks) == min(group_size, sum(rank > 0 for rank in known.values()))
    count = len(groups.queries)
    for start in range(0, len(seen) - count + 1, count):
        assert sorted(seen[start : start + count]) == list(range(count))  # an epoch sees every query once


@given(any_groups(), st.integers(2, 6), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**31))
def test_processes_share_out_a_step(groups, group_size, queries_per_step, processes, seed):
    """Together they draw the groups that one process draws, each once."""

    def drawn(sampler):
        step = sampler.step(3)
        for group in range(len(step.targets["order"])):
            members = step.group == group
            yield (
                int(step.query_rows[members][0]),
                tuple(step.passage_rows[members]),
                tuple(step.targets["order"][group][: members.sum()]),
            )

    alone = drawn(GroupSampler(groups, group_size, queries_per_step, seed))
    processes = min(processes, queries_per_step)
    shared = [
        group
        for process in range(processes)
        for group in drawn(GroupSampler(groups, group_size, queries_per_step, seed, process, processes))
    ]
    assert sorted(alone) == sorted(shared)


def test_another_seed_draws_other_groups():
    groups = Groups.from_lists("contrastive", [0], [[(0, 1), *((row, 2) for row in range(1, 60))]])
    draws = {tuple(GroupSampler(groups, 8, 1, seed).step(0).passage_rows.tolist()) for seed in range(5)}
    assert len(draws) == 5


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 900))
def test_batches_hold_every_pair_once_within_the_budget(lengths, budget):
    lengths = np.array(lengths, dtype=np.int64)
    batches = by_token_budget(lengths, budget)
    assert sorted(np.concatenate(batches).tolist() if batches else []) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= budget
