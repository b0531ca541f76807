"""TREC runs and permutations: strict reading with clear errors, trec_eval's order, honest repair."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multistage.data.runs import read_run, rows_of, write_run
from multistage.jobs.errors import InputError
from multistage.teachers.permutations import format_permutation, parse_permutation
from repository import REPOSITORY

SHARED = REPOSITORY.parent / "shared"

GOOD = "q1 Q0 d1 1 2.5 tag\nq1 Q0 d2 2 1.5 tag\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q1 Q0 d3 3 0.5", "line 3: 5 columns"),
        ("q1 Q0 d3 3 n/a tag", "line 3: score 'n/a' is not a finite number"),
        ("q1 Q0 d3 3 inf tag", "line 3: score 'inf' is not a finite number"),
        ("q1 Q0 d1 3 0.5 tag", "line 3: passage 'd1' stands twice for query 'q1'"),
        ("", "line 3: 0 columns"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = tmp_path / "bad.run"
    path.write_text(GOOD + line + "\n")
    with pytest.raises(InputError) as error:
        read_run(path)
    assert message in str(error.value) and str(path) in str(error.value)
    assert "query, Q0, passage, rank, score, tag" in str(error.value)


def test_an_empty_run_is_an_error(tmp_path):
    (tmp_path / "empty.run").write_text("")
    with pytest.raises(InputError, match="the run is empty"):
        read_run(tmp_path / "empty.run")


def test_ties_stand_in_falling_order_of_the_passage_id(tmp_path):
    path = tmp_path / "ties.run"
    path.write_text("q2 Q0 a 1 1 t\nq2 Q0 c 2 1 t\nq2 Q0 b 3 1.00000001 t\nq1 Q0 z 1 0 t\nq2 Q0 d 4 3 t\n")
    run = read_run(path)
    assert run["query"].tolist() == ["q2"] * 4 + ["q1"]
    assert run["passage"].tolist() == ["d", "c", "b", "a", "z"]  # 1.00000001 is 1 in single precision
    assert read_run(path, depth=2)["passage"].tolist() == ["d", "c", "z"]


def test_a_run_may_be_read_up_to_a_query(tmp_path):
    path = tmp_path / "a.run"
    path.write_text(GOOD + "q2 Q0 d1 1 1 t\nq3 Q0 d1 1 no t\n")
    assert read_run(path, queries=2)["query"].tolist() == ["q1", "q1", "q2"]
    assert read_run(path, depth=1, queries=2)["passage"].tolist() == ["d1", "d1"]
    with pytest.raises(InputError, match="line 4: score 'no'"):
        read_run(path, queries=3)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["1", "2", "q"]), st.sampled_from([f"p{n}" for n in range(30)]), st.floats(-1e6, 1e6, width=32)
        ),
        min_size=1,
        unique_by=lambda line: line[:2],
    )
)
def test_writing_and_reading_gives_the_same_run(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("run") / "written.run"
    write_run(path, pd.DataFrame(lines, columns=["query", "passage", "score"]), tag="t")
    run = read_run(path)
    assert {(q, p, np.float32(s)) for q, p, s in lines} == set(run.itertuples(index=False, name=None))
    ranks = [int(line.split()[3]) for line in path.read_text().splitlines()]
    assert ranks == (run.groupby("query", sort=False).cumcount() + 1).tolist()


@pytest.mark.parametrize(
    "known", [pd.Index(["d0", "d1"]), pd.Index(["d0", "d1"], dtype=object), pd.Index(["x", "d0", "d1"])[1:]]
)
def test_ids_become_rows_however_they_are_kept(known):
    rows = rows_of(pd.Series(["d1", "d0", "d1"]), known, "some.run", "passage")
    assert rows.tolist() == [1, 0, 1] and rows.dtype == np.int32
    assert rows_of(pd.Series([], dtype=str), known, "some.run", "passage").tolist() == []


def test_an_unknown_id_is_named():
    with pytest.raises(InputError, match=r"some.run: passage 'd9' is not in the collection \(1 of 2 ids are not\)"):
        rows_of(pd.Series(["d1", "d9"]), pd.Index(["d0", "d1"]), "some.run", "passage")


@given(st.permutations(range(1, 21)))
def test_a_permutation_survives_writing_and_reading(order):
    assert parse_permutation(format_permutation(order), 20) == (order, False)


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("[2] > [1]", [2, 1, 3]),
        ("[3] > [1] > [3] > [2]", [3, 1, 2]),
        ("[2] > [7] > [1] > [3]", [2, 1, 3]),
        ("[3] > [2] > [1].", [3, 2, 1]),
        ("[1]4 > [3]", [1, 3, 2]),
    ],
)
def test_a_malformed_permutation_is_repaired(text, order):
    assert parse_permutation(text, 3) == (order, True)


@pytest.mark.parametrize("text", ["", "I cannot rank these 3 passages.", "[None of the 2 passages is relevant]", "[0] > [9]"])
def test_a_refusal_is_not_taken_for_a_ranking(text):
    assert parse_permutation(text, 3) is None


@given(st.text(alphabet="[]0123456789 >.,a\n", max_size=80))
def test_whatever_is_parsed_is_a_permutation(text):
    found = parse_permutation(text, 8)
    assert found is None or sorted(found.order) == list(range(1, 9))


@pytest.mark.skipif(not (SHARED / "data" / "rankgpt").is_dir(), reason="real malformed permutations are not at hand")
def test_real_malformed_permutations_are_repaired_or_refused():
    with gzip.open(SHARED / "data" / "rankgpt" / "rejected-permutations.jsonl.gz", "rt") as stream:
        found = [parse_permutation(json.loads(line)["permutation"], 20) for line in stream]
    repaired = [item for item in found if item is not None]
    assert all(item.repaired and sorted(item.order) == list(range(1, 21)) for item in repaired)
    assert (len(repaired), len(found) - len(repaired)) == (3943, 57)
