"""Candidates become groups; sampling depends on seed, epoch and query alone; batches hold every pair once."""

import math
from itertools import chain, combinations, pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multistage.data.groups import training_groups, validation_set
from multistage.data.sampling import Groups, GroupSampler
from multistage.scoring.scoring import BATCH_COST, by_token_budget
from multistage.training.gradients import _dealt
from small_groups import groups_from

QUERIES, PASSAGES = pl.Series([f"q{n}" for n in range(6)]), pl.Series([f"p{n}" for n in range(8)])
ROWS = {"query": pl.Int32, "passage": pl.Int32, "score": pl.Float32}
JUDGED = {"query": pl.String, "passage": pl.String, "grade": pl.Int16}


def plain_groups(run, qrels, teacher, contrast):
    """What is known of the passages of each query that can make a group: {query: [(passage, grade, rank, score)]}."""
    groups = {}
    for query in range(len(QUERIES)):
        judged = {int(p[1:]): grade for q, p, grade in qrels if q == f"q{query}"}
        found = [passage for q, passage, _ in run if q == query]
        found += [passage for passage, grade in judged.items() if grade > 0 and passage not in found]
        ranked = [(passage, score) for q, passage, score in teacher or () if q == query]
        taught = {passage: (rank, score) for rank, (passage, score) in enumerate(ranked, start=1)}
        known = [
            (passage, judged.get(passage, -1), *(() if teacher is None else taught.get(passage, (0, None))))
            for passage in found
        ]
        relevant = sum(grade > 0 for _, grade, *_ in known)
        if 0 < relevant < len(known) if contrast else len(set(found) & set(taught)) > 1:
            groups[query] = known
    return groups


def a_run(draw, pairs):
    """A run in run order: queries in any order, the scores of each falling."""
    order = draw(st.permutations(range(6)))
    ranked = sorted(draw(pairs), key=lambda pair: order.index(pair[0]))
    return [(query, passage, float(-place)) for place, (query, passage) in enumerate(ranked)]


@st.composite
def collections(draw):
    """A run, judgements, and whose ranks are known: nobody's, those of the same run or of another; some queries are in none."""
    pairs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7)), unique=True, min_size=1, max_size=40)
    run, judged = a_run(draw, pairs), draw(pairs)
    grades = draw(st.lists(st.integers(0, 3), min_size=len(judged), max_size=len(judged)))
    qrels = [(f"q{query}", f"p{passage}", grade) for (query, passage), grade in zip(judged, grades, strict=True)]
    return run, qrels, draw(st.sampled_from([None, run, a_run(draw, pairs)]))


def grouped(run, qrels, teacher=None, contrast=True, passages=PASSAGES, **settings):
    run, qrels = pl.DataFrame(run, ROWS, orient="row"), pl.DataFrame(qrels, JUDGED, orient="row")
    teacher = None if teacher is None else pl.DataFrame(teacher, ROWS, orient="row")
    settings = {"relevance": 1} | settings
    return training_groups(run, qrels, QUERIES, passages, teacher=teacher, contrast=contrast, **settings)


@given(collections(), st.booleans())
def test_groups_are_those_made_query_by_query(collection, contrast):
    taught = collection[-1] is not None
    contrast |= not taught
    groups = grouped(*collection, contrast)
    expected = plain_groups(*collection, contrast)
    assert groups.queries.tolist() == sorted(expected) and (groups.ranks is not None) == taught
    for line, query in enumerate(groups.queries.tolist()):
        here = groups.passages[line] >= 0
        columns = [groups.passages[line], groups.grades[line]]
        if taught:
            columns += [groups.ranks[line], groups.scores[line]]
            assert not groups.ranks[line][~here].any() and np.isnan(groups.scores[line][~here]).all()
        found = list(zip(*(column[here].tolist() for column in columns), strict=True))
        assert [tuple(None if value != value else value for value in known) for known in found] == expected[query]


def test_what_is_judged_elsewhere_or_below_the_relevance_is_not_relevant(caplog):
    run = [(0, 1, 1.0), (0, 3, 0.5), (1, 1, 1.0)]
    judged = [("q0", "p2", 2), ("q0", "p3", 1), ("q0", "p7", 3), ("q1", "p7", 2), ("q9", "p7", 2), ("q0", "p6", 0)]
    groups = grouped(run, judged, passages=PASSAGES[:7], relevance=2)
    assert groups.passages.tolist() == [[1, 3, 2]] and groups.grades.tolist() == [[-1, 0, 2]]
    assert "2 relevant passages left out: they are not in the collection" in caplog.text
    assert "5 queries left out of training" in caplog.text


@given(collections(), st.sampled_from([0.5, 0.95, 1.0]))
def test_unjudged_passages_that_a_teacher_scores_like_relevant_ones_are_dropped(collection, share):
    run, qrels, _ = collection
    teacher = [(query, passage, float(passage % 3 + 7 * (passage % 2))) for query, passage, _ in run]
    teacher = sorted(teacher, key=lambda line: (line[0], -line[2]))
    scores = {line[:2]: line[2] for line in teacher}
    graded = {(int(query[1:]), int(passage[1:])): grade for query, passage, grade in qrels}

    def stays(query, passage):
        own = {pair: score for pair, score in scores.items() if pair[0] == query}
        relevant = [score for pair, score in own.items() if graded.get(pair, -1) > 0]
        if (query, passage) in graded or not relevant:
            return True
        return own[query, passage] - min(own.values()) < share * (max(relevant) - min(own.values()))

    kept = [line for line in run if stays(*line[:2])]
    groups = grouped(run, qrels, teacher, drop_above=share)
    expected = plain_groups(kept, qrels, teacher, contrast=True)
    assert groups.queries.tolist() == sorted(expected)
    for line, query in enumerate(groups.queries.tolist()):
        assert [row for row in groups.passages[line].tolist() if row >= 0] == [known[0] for known in expected[query]]


@pytest.mark.parametrize("taught", [False, True])
def test_groups_survive_the_file_and_are_the_same_bytes(tmp_path, taught):
    run = [(0, 1, 9.0), (0, 2, 8.0), (1, 4, 9.0)]
    groups = grouped(run, [("q0", "p1", 2), ("q1", "p5", 1)], run if taught else None)
    for number in range(6):
        groups.write(tmp_path / f"{number}.safetensors")
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    for name, values in vars(Groups.read(tmp_path / "0.safetensors")).items():
        np.testing.assert_array_equal(values, getattr(groups, name), name)


def test_a_validation_set_grades_its_candidates():
    run = pl.DataFrame([(4, 1, 9.0), (4, 2, 8.0), (4, 3, 7.0), (1, 4, 9.0), (1, 5, 8.0), (0, 4, 9.0)], ROWS, orient="row")
    qrels = pl.DataFrame([("q4", "p2", 1), ("q1", "p7", 2)], JUDGED, orient="row")
    chosen = validation_set(run, qrels, queries=QUERIES, passages=PASSAGES, limit=2)
    assert chosen.queries.tolist() == [4, 1]
    assert chosen.passages.tolist() == [[1, 2, 3], [4, 5, -1]]
    assert chosen.grades.tolist() == [[0, 1, 0], [0, 0, 0]]


def mixed(grades):
    return 0 < sum(grade > 0 for grade in grades) < len(grades)


@st.composite
def samplers(draw):
    """Groups with relevant passages, that a teacher ranked or not, and what a sampler is told."""
    taught = draw(st.booleans())
    grades = st.lists(st.integers(-1, 2), min_size=2, max_size=9).filter(mixed)
    told = st.fixed_dictionaries(
        {
            "contrast": st.booleans() if taught else st.just(True),
            "several": st.booleans(),
            "size": st.integers(2, 6),
            "queries_per_step": st.integers(1, 5),
            "seed": st.integers(0, 2**31),
        }
    )
    return groups_from(draw(st.lists(grades, min_size=1, max_size=6)), taught), draw(told)


def drawn(sampler, number):
    """The groups of a step: query, passages, and what losses are told of these."""
    step = sampler.step(number)
    for group in range(len(step.targets["order"])):
        here = step.group == group
        assert step.column[here].tolist() == list(range(here.sum()))
        told = tuple(tuple(step.targets[name][group][: here.sum()]) for name in ("order", "scores", "judgements"))
        assert not step.targets["order"][group][here.sum() :].any()
        assert (step.targets["judgements"][group][here.sum() :] == -1).all()
        yield int(step.query_rows[here][0]), tuple(step.passage_rows[here].tolist()), *told


@given(samplers())
def test_a_step_is_the_same_whenever_it_is_drawn(case):
    groups, told = case
    forward = GroupSampler(groups, **told)
    steps = [repr(list(drawn(forward, step))) for step in range(6)]
    for step in reversed(range(6)):
        assert repr(list(drawn(GroupSampler(groups, **told), step))) == steps[step]


@given(samplers())
def test_groups_are_drawn_as_they_should_be(case):
    groups, told = case
    seen = []
    steps = (drawn(GroupSampler(groups, **told), step) for step in range(5))
    for line, passages, order, scores, grades in chain.from_iterable(steps):
        seen.append(line)
        column = {passage: column for column, passage in enumerate(groups.passages[line].tolist()) if passage >= 0}
        known = groups.grades[line][[column[passage] for passage in passages]]
        assert len(set(passages)) == len(passages) and list(grades) == known.clip(0).tolist()
        if told["contrast"]:
            relevant = sum(groups.grades[line][place] > 0 for place in column.values())
            wanted = min(relevant, told["size"] - 1) if told["several"] else 1
            assert sum(grade > 0 for grade in grades) == wanted
            assert len(passages) == min(told["size"], wanted + len(column) - relevant)
        else:
            assert list(order) == sorted(order) and len(passages) == min(told["size"], int((groups.ranks[line] > 0).sum()))
        if groups.ranks is not None:
            assert list(order) == [groups.ranks[line][column[passage]] for passage in passages]
            np.testing.assert_array_equal(scores, [groups.scores[line][column[passage]] for passage in passages])
        else:
            assert list(order) == [1 + len({above for above in grades if above > grade}) for grade in grades]
            assert np.isnan(scores).all()
    count = len(groups.queries)
    for start in range(0, len(seen) - count + 1, count):
        assert sorted(seen[start : start + count]) == list(range(count))  # an epoch sees every query once


@given(st.lists(st.integers(1, 50), min_size=4, max_size=60), st.integers(1, 4), st.randoms())
def test_processes_share_out_a_step(lengths, processes, random):
    """Each group goes to one of them, and none has more tokens than another by more than a group's."""
    group = [*range(4), *(random.randrange(4) for _ in lengths[4:])]
    dealt = _dealt(np.array(lengths), np.array(group), processes)
    assert sorted(chain.from_iterable(dealt)) == [0, 1, 2, 3]
    sizes = [sum(length for length, own in zip(lengths, group, strict=True) if own == number) for number in range(4)]
    tokens = [sum(sizes[number] for number in share) for share in dealt]
    assert max(tokens) - min(tokens) <= max(sizes)


ONE = {"contrast": True, "queries_per_step": 1}


def test_another_seed_draws_other_groups():
    groups = groups_from([[1] + [0] * 59])
    draws = {tuple(GroupSampler(groups, **ONE, size=8, seed=seed).step(0).passage_rows) for seed in range(5)}
    assert len(draws) == 5


def test_which_relevant_passage_is_drawn_does_not_depend_on_the_first_stage():
    one, other = groups_from([[2, 1, 0, 1]], passages=[[5, 3, 8, 1]]), groups_from([[1, 2, 0, 1]], passages=[[1, 5, 8, 3]])
    samplers = [GroupSampler(groups, **ONE, size=2, seed=1) for groups in (one, other)]
    drawn = [[int(sampler.step(step).passage_rows[0]) for step in range(30)] for sampler in samplers]
    assert drawn[0] == drawn[1] and set(drawn[0]) == {1, 3, 5}


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 900), st.booleans())
def test_batches_hold_every_pair_once_within_the_budget(lengths, budget, packed):
    lengths = np.array(lengths, dtype=np.int64)
    batches = by_token_budget(lengths, budget, packed)
    assert sorted(np.concatenate(batches).tolist() if batches else []) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or (lengths[batch].sum() if packed else len(batch) * lengths[batch].max()) <= budget
    if packed and budget > lengths.max(initial=0):
        assert len(batches) <= math.ceil(lengths.sum() / (budget - lengths.max(initial=0)))


@given(st.lists(st.integers(1, 900), min_size=1, max_size=8), st.integers(900, 4000))
def test_no_cuts_between_lengths_give_cheaper_batches(lengths, budget):
    ordered = sorted(lengths, reverse=True)
    between = [place for place in range(1, len(ordered)) if ordered[place] < ordered[place - 1]]

    def cost(cuts):
        parts = [ordered[start:end] for start, end in pairwise([0, *cuts, len(ordered)])]
        return sum(len(part) * part[0] + BATCH_COST * math.ceil(len(part) / (budget // part[0])) for part in parts)

    cheapest = min(cost(cuts) for count in range(len(between) + 1) for cuts in combinations(between, count))
    batches = [np.array(lengths)[batch] for batch in by_token_budget(np.array(lengths), budget)]
    assert sum(batch.size * batch.max() + BATCH_COST for batch in batches) <= cheapest
