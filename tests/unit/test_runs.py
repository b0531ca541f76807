"""TREC runs: what is read is what a plain reader finds, in trec_eval's order."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multistage.data import runs as runs_module
from multistage.data.runs import RUN, cut, in_parts, in_run_order, ranks_of, read_run, rows_of, with_ids, write_run, write_runs
from multistage.jobs.errors import InputError

QUERIES = pl.Series(["q1", "3", "03", "q2"])
PASSAGES = pl.Series(["7", "10", "012", "12", "é", "msmarco_1", "msmarco_12", "100"])
SCORES = st.floats(-3e38, 3e38) | st.sampled_from([0.0, -0.0, 1.0, 1.00000001]) | st.decimals(-1000, 1000, places=6)


def plainly(text, depth=None):
    """What is read of a run without mistakes, as simply as it can be done: (query, passage, score) by rows of the run."""
    found = {}
    for line in text.removeprefix("\ufeff").split("\n"):
        if line.strip() and not line.startswith("#"):
            query, _, passage, _, score, *_ = line.split()
            found.setdefault(query, []).append((np.float32(float(score)), passage))
    return [
        (query, passage, score) for query, own in found.items() for score, passage in sorted(own, reverse=True)[: depth or None]
    ]


@st.composite
def runs(draw):
    """The text of a run, its lines in any order."""
    pairs = st.tuples(st.sampled_from([*QUERIES, "other"]), st.sampled_from(PASSAGES.to_list()))
    lines = []
    for query, passage in draw(st.lists(pairs, min_size=1, max_size=30, unique=True)):
        blank = draw(st.sampled_from(["\t", " ", "  \t"]))
        score = draw(st.sampled_from(["{!s}", "{:.17g}", "{:.20f}", "+{:.3E}"])).format(draw(SCORES)).replace("+-", "-")
        line = blank.join([query, "Q0", passage, "1", score, draw(st.sampled_from(["tag", "a tag of five words"]))])
        ending = draw(st.sampled_from(["", "", " ", "\r", "\n", "\n# a note", "\n \r"]))
        lines.append(draw(st.sampled_from(["", " "])) + line + ending)
    return draw(st.sampled_from(["", "\ufeff"])) + "\n".join(lines) + draw(st.sampled_from(["\n", ""]))


@settings(max_examples=150)
@given(runs(), st.none() | st.integers(1, 4))
def test_a_run_is_what_a_plain_reader_finds(tmp_path_factory, text, depth):
    path = tmp_path_factory.mktemp("runs") / "a.run"
    path.write_text(text, newline="")
    expected = plainly(text, depth)
    assert read_run(path, depth).rows() == expected
    known = [row for row in expected if row[0] != "other"]
    if known:
        rows = read_run(path, depth, queries=QUERIES, passages=PASSAGES)
        assert rows.dtypes == [pl.Int32, pl.Int32, pl.Float32]
        assert with_ids(rows, QUERIES, PASSAGES).rows() == known
        some = PASSAGES[:3]
        found = read_run(path, depth, queries=QUERIES, passages=some, keep_unknown=True)["passage"].to_list()
        assert found == [some.to_list().index(passage) if passage in some else -1 for _, passage, _ in known]


@given(
    st.lists(
        st.tuples(st.sampled_from(QUERIES.to_list()), st.sampled_from(PASSAGES.to_list()), st.floats(width=32)),
        min_size=1,
        unique_by=lambda line: line[:2],
    )
)
def test_writing_and_reading_gives_the_same_run(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("run") / "written.run"
    run = pl.DataFrame([line for line in lines if math.isfinite(line[2])] or [("3", "7", 1.0)], schema=RUN, orient="row")
    write_run(path, run, tag="t")
    assert read_run(path).equals(in_run_order(run))
    found = [line.split() for line in path.read_text().splitlines()]
    assert [int(fields[3]) - 1 for fields in found] == ranks_of(read_run(path, queries=QUERIES)["query"].to_numpy()).tolist()
    assert [fields[4] for fields in found] == [f"{score:.9g}" for score in in_run_order(run)["score"]]


def test_runs_are_written_one_after_another(tmp_path):
    one = pl.DataFrame([("b", "x", 1), ("a", "x", 1), ("b", "y", 2)], schema=RUN, orient="row")
    write_runs(tmp_path / "a.run", [one, one.with_columns(query=pl.lit("c"))[:1]], tag="t")
    assert (tmp_path / "a.run").read_text() == "b Q0 y 1 2 t\nb Q0 x 2 1 t\na Q0 x 1 1 t\nc Q0 x 1 1 t\n"
    assert cut(read_run(tmp_path / "a.run"), 1).rows() == [("b", "y", 2), ("a", "x", 1), ("c", "x", 1)]


def test_a_run_is_written_in_parts_and_queries_on_one_side_only_are_told(tmp_path, monkeypatch, caplog):
    """As the published ColBERT run: separated by tabs, ranks from 0, queries of other sets in it."""
    monkeypatch.setattr(runs_module, "QUERIES_AT_ONCE", 1)
    text = "x 0 7 0 9 t\nq1 0 10 7 0.5 t\nq1 0 12 1 0.5 t\nq1 0 100 2 1.25 t\n3 0 7 1 -3 t\n"
    (tmp_path / "given.run").write_text(text.replace(" ", "\t"))
    parts = list(in_parts(read_run(tmp_path / "given.run", 2, queries=QUERIES, passages=PASSAGES)))
    write_runs(tmp_path / "taken.run", (with_ids(part, QUERIES, PASSAGES) for part in parts), tag="given")
    assert len(parts) == 2
    assert (tmp_path / "taken.run").read_text() == "q1 Q0 100 1 1.25 given\nq1 Q0 12 2 0.5 given\n3 Q0 7 1 -3 given\n"
    assert "1 queries left out: they are not in the query set" in caplog.text
    assert "2 queries without a ranking" in caplog.text


def test_ids_become_rows_and_an_unknown_one_is_named():
    rows = rows_of(pl.Series(["7", "12", "7"]), PASSAGES, "some.run", "passage")
    assert rows.tolist() == [0, 3, 0] and rows.dtype == np.int32
    with pytest.raises(InputError, match=r"some.run: passage 'd9' is not in the collection \(1 of 2 ids are not\)"):
        rows_of(pl.Series(["7", "d9"]), PASSAGES, "some.run", "passage")
