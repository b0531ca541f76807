"""TREC runs of any size: what comes in one pass is what reading the whole run gives, and every wrong line is named."""

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multistage.data import streaming
from multistage.data.runs import read_run
from multistage.data.streaming import RunCounts, stream_candidates
from multistage.jobs.errors import InputError

# Numbers, numbers that are written otherwise, names, and names with a long common beginning.
IDS = [
    "0",
    "7",
    "10",
    "12",
    "100",
    "00",
    "012",
    "9a",
    "a",
    "é",
    "12345678",
    "123456789",
    "msmarco_1",
    "msmarco_12",
    "msmarco_2",
]
QUERIES = pd.Index(["q1", "3", "03", "long-query-id", "q2"])
NUMBERS = pd.Index(["0", "7", "10", "12", "100", "1000", "19", "2"])
GOOD = "q1 Q0 7 1 2.5 tag\nq1 Q0 10 2 1.5 tag\n"


def read_all(path, queries, passages, depth, **options):
    """All blocks as one table of ids."""
    blocks = list(stream_candidates(path, queries, passages, depth, **options))
    columns = [np.concatenate(column) for column in zip(*blocks, strict=True)]
    return pd.DataFrame({"query": queries[columns[0]], "passage": passages[columns[1]], "score": columns[2]})


@st.composite
def runs(draw):
    """The text of a run with its depth; the passages that its collection has."""
    passages = draw(st.sampled_from([IDS, NUMBERS.tolist()]))
    score = st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.0, 1.0, 1.5])
    lines = []
    for query in draw(st.lists(st.sampled_from([*QUERIES, "unknown", "q"]), min_size=1, max_size=5, unique=True)):
        members = draw(st.lists(st.sampled_from(passages), min_size=1, unique=True))
        for rank, passage in enumerate(members, start=1):
            blank = draw(st.sampled_from(["\t", " ", "  \t"]))
            written = draw(st.sampled_from(["{:.9g}", "{!r}", "{:.17g}", "{:f}"])).format(draw(score))
            lines.append(blank.join([query, "Q0", passage, str(rank), written, "tag"]) + draw(st.sampled_from(["", "", "\r"])))
    ending = draw(st.sampled_from(["\n", ""]))
    return "\n".join(lines) + ending, pd.Index(draw(st.permutations(passages)))


@settings(deadline=None, max_examples=150)
@given(runs(), st.integers(1, 6), st.integers(20, 400), st.integers(1, 3))
def test_blocks_are_the_whole_run_cut(tmp_path_factory, run, depth, piece, threads):
    text, passages = run
    path = tmp_path_factory.mktemp("runs") / "a.run"
    path.write_text(text, newline="")
    whole = read_run(path)
    known = whole["query"].isin(QUERIES)
    expected = read_run(path, depth)
    expected = expected[expected["query"].isin(QUERIES)].reset_index(drop=True)
    counts = RunCounts()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "PIECE_BYTES", piece)
        if expected.empty:
            with pytest.raises(InputError, match="none of its"):
                read_all(path, QUERIES, passages, depth, threads=threads)
            return
        found = read_all(path, QUERIES, passages, depth, threads=threads, counts=counts)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, check_exact=True)
    left_out = whole["query"][~known].nunique()
    assert counts == RunCounts(len(whole), whole["query"].nunique() - left_out, left_out)


def test_a_block_holds_whole_queries_and_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "PIECE_BYTES", 30)
    path = tmp_path / "a.run"
    path.write_text("3\t0\t7\t1\t2.5\tColBERT\n3\t0\t0\t2\t1.5\tColBERT\nq1\t0\t100\t1\t9\tColBERT\n")
    blocks = list(stream_candidates(path, QUERIES, NUMBERS, 10))
    assert [block.queries.tolist() for block in blocks] == [[1, 1], [0]]
    assert [block.passages.tolist() for block in blocks] == [[1, 0], [4]]
    assert all([column.dtype for column in block] == [np.int32, np.int32, np.float32] for block in blocks)


def test_a_packed_run_is_read_as_it_is(tmp_path):
    path = tmp_path / "a.run.gz"
    path.write_bytes(gzip.compress(GOOD.encode()))
    assert read_all(path, QUERIES, NUMBERS, 10)["passage"].tolist() == ["7", "10"]


@pytest.mark.parametrize(
    "index", [pd.Index(["7", "10", "x"]), pd.Index(["7", "10"], dtype=object), pd.Index(["a", "7", "10"])[1:]]
)
def test_ids_may_be_kept_in_any_way(tmp_path, index):
    (tmp_path / "a.run").write_text(GOOD)
    assert read_all(tmp_path / "a.run", QUERIES, index, 10)["passage"].tolist() == ["7", "10"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q1 Q0 12 3 0.5", "line 3: 5 columns"),
        ("q1 Q0 12 3 0.5 tag more", "line 3: 7 columns"),
        ("q1", "line 3: 1 columns"),
        ("", "line 3: 0 columns"),
        ("q1 Q0 12 3 n/a tag", "line 3: score 'n/a' is not a finite number"),
        ("q1 Q0 12 3 1_0 tag", "line 3: score '1_0' is not a finite number"),
        ("q1 Q0 12 3 -inf tag", "line 3: score '-inf' is not a finite number"),
        ("q1 Q0 12 3 1e39 tag", "line 3: score '1e39' is not a finite number"),
        ("q1 Q0 12 3 . tag", "line 3: score '.' is not a finite number"),
        ("q1 Q0 7 3 0.5 tag", "line 3: passage '7' stands twice for query 'q1'"),
        ("q1 Q0 07 3 0.5 tag", "line 3: passage '07' of query 'q1' is not in the collection"),
        ("q1 Q0 99999999 3 0.5 tag", "line 3: passage '99999999' of query 'q1' is not in the collection"),
        ("x Q0 7 3 ? tag", "line 3: score '?' is not a finite number"),
        ("3 Q0 7 1 1 t\nq1 Q0 12 3 0.5 tag", "line 4: query 'q1' comes back after other queries"),
        ("x Q0 7 1 1 t\n3 Q0 7 1 1 t\nx Q0 12 3 0.5 tag", "line 5: query 'x' comes back after other queries"),
    ],
)
@pytest.mark.parametrize("piece", [25, 1 << 20])
def test_a_bad_line_is_named(tmp_path, monkeypatch, piece, line, message):
    monkeypatch.setattr(streaming, "PIECE_BYTES", piece)
    path = tmp_path / "bad.run"
    path.write_text(GOOD + line + "\nq2 Q0 7 1 1 tag\n")
    with pytest.raises(InputError) as error:
        read_all(path, QUERIES, NUMBERS, 10)
    assert str(error.value).startswith(f"{path}, {message}")


def test_a_passage_that_is_not_among_names_is_named(tmp_path):
    (tmp_path / "bad.run").write_text(GOOD + "q1 Q0 msmarco_3 3 1 tag\n")
    with pytest.raises(InputError, match="line 3: passage 'msmarco_3' of query 'q1' is not in the collection"):
        read_all(tmp_path / "bad.run", QUERIES, pd.Index(IDS), 10)


def test_an_empty_run_is_an_error(tmp_path):
    (tmp_path / "empty.run").write_text("")
    with pytest.raises(InputError, match="the run is empty"):
        read_all(tmp_path / "empty.run", QUERIES, NUMBERS, 10)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.floats(-3e38, 3e38) | st.decimals(-1000, 1000, places=6), min_size=1, max_size=20))
def test_a_score_is_the_nearest_number_in_single_precision(tmp_path_factory, scores):
    path = tmp_path_factory.mktemp("runs") / "a.run"
    path.write_text("".join(f"q1 Q0 {row} 1 {score} tag\n" for row, score in enumerate(scores)))
    (block,) = stream_candidates(path, QUERIES, pd.Index([str(row) for row in range(20)]), 20)
    found = dict(zip(block.passages.tolist(), block.scores, strict=True))
    assert [found[row] for row in range(len(scores))] == [np.float32(float(score)) for score in scores]


def test_a_long_unsorted_query_is_sorted(tmp_path):
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 40, 3000) / 8
    passages = pd.Index(generator.permutation(5000).astype(str))
    lines = [f"q1 Q0 {passage} 1 {score} t\n" for passage, score in zip(passages, scores, strict=False)]
    (tmp_path / "a.run").write_text("".join(lines))
    found = read_all(tmp_path / "a.run", QUERIES, passages, 500)
    pd.testing.assert_frame_equal(found, read_run(tmp_path / "a.run", 500), check_dtype=False)
