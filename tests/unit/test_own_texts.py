"""Texts of the user's own: the workflow's scores, other checkpoints, and one message for what is wrong, nothing written."""

import gzip
import json
import os
import shutil
import subprocess
import sys

import polars as pl
import pytest
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder

from multistage.data.runs import RUN, read_run, write_run
from multistage.jobs.errors import InputError
from multistage.scoring.own_texts import rerank_own_runs, score_own_pairs, scorer_for
from small_models import write_bert_checkpoint
from small_stage import BACKBONE, PASSAGES, QUERIES, rerank_by_workflow, train, write_inputs

CANDIDATES = {
    "one": [("q1", "p5", 9), ("q0", "p0", 3), ("q0", "p1", 2), ("q0", "p2", 1)],
    "two": [("q1", "p5", 3), ("q1", "p1", 2), ("q0", "p1", 1), ("q0", "p3", 0.5), ("q1", "p4", 0.1)],
}


@pytest.fixture
def runs(tmp_path):
    paths = [str(tmp_path / f"{name}.run") for name in CANDIDATES]
    for rows, path in zip(CANDIDATES.values(), paths, strict=True):
        write_run(path, pl.DataFrame(rows, schema=RUN, orient="row"), tag="first")
    return paths


@pytest.fixture
def texts(tmp_path):
    """Queries as TSV and passages as gzipped JSON lines, with more in both than the runs name."""
    queries, passages = tmp_path / "queries.tsv", tmp_path / "passages.jsonl.gz"
    queries.write_text("".join(f"q{row}\t{text}\n" for row, text in enumerate([*QUERIES, "paris"])))
    with gzip.open(passages, "wt") as stream:
        stream.writelines(json.dumps({"id": f"p{row}", "text": text}) + "\n" for row, text in enumerate([*PASSAGES, "thames"]))
    return queries, passages


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """What a stage was trained from, and its model, in a folder that is named as the workflow's are."""
    folder = tmp_path_factory.mktemp("stage")
    inputs = write_inputs(folder)
    return inputs, train(inputs, folder / "tiny" / "cl" / "seed3")


@pytest.fixture
def model(stage):
    """The trained model."""
    return stage[1]


def scorer(folder, **changes):
    return scorer_for(folder, **({"device": "cpu", "tokens_per_batch": 64, "precision": "float32"} | changes))


def rerank(model, runs, texts, outputs, depth=None):
    rerank_own_runs(scorer(model), runs, queries=texts[0], passages=texts[1], depth=depth, outputs=outputs)


@pytest.mark.parametrize("kind", ["files", "tables"])
@pytest.mark.parametrize("depth", [2, None])
def test_the_runs_are_the_workflows_and_the_scores_another_librarys(stage, runs, texts, tmp_path, kind, depth):
    inputs, model = stage
    tables = [inputs.queries.ids.replace("ids.npy", "parquet"), inputs.passages.ids.replace("ids.npy", "parquet")]
    theirs, ours = ([str(tmp_path / who / f"{name}.run") for name in CANDIDATES] for who in ("workflow", "own"))
    rerank_by_workflow(inputs, model / "model.safetensors", runs, depth=depth, tag="tiny/cl/seed3", outputs=theirs)
    # One of them twice.
    rerank(model, [*runs, runs[0]], texts if kind == "files" else tables, [*ours, again := tmp_path / "again.run"], depth)
    for their, our in zip([*theirs, theirs[0]], [*ours, again], strict=True):
        assert (tmp_path / our).read_bytes() == (tmp_path / their).read_bytes()
    encoder = CrossEncoder(str(model), device="cpu")
    for run, candidates in zip(ours, CANDIDATES.values(), strict=True):
        kept = read_run(run)
        first = [pair for query in ("q1", "q0") for pair in [row[:2] for row in candidates if row[0] == query][:depth]]
        assert sorted(kept[["query", "passage"]].rows()) == sorted(first)
        scored = encoder.predict([(QUERIES[int(query[1:])], PASSAGES[int(passage[1:])]) for query, passage, _ in kept.rows()])
        assert kept["score"].to_list() == pytest.approx(scored.tolist(), abs=1e-5)


def test_scores_that_are_all_the_same_are_told(model, runs, texts, tmp_path, caplog):
    weights = load_file(file := shutil.copytree(model, tmp_path / "constant") / "model.safetensors")
    save_file(weights | {"classifier.weight": 0 * weights["classifier.weight"]}, file, metadata={"format": "pt"})
    rerank(file.parent, runs, texts, [tmp_path / f"{name}.out" for name in CANDIDATES])
    assert "all passages of 2 queries have one score" in caplog.text


def test_a_table_of_other_texts_than_the_store_leaves_no_output(inputs, runs, tmp_path):
    table = pl.read_parquet(tmp_path / "passages.parquet")
    pl.concat([table, table[:1].with_columns(id=pl.lit("p6"))]).write_parquet(tmp_path / "passages.parquet")
    with pytest.raises(InputError, match=r"passages\.ids\.npy: holds 6 texts, and their table 7"):
        rerank_by_workflow(
            inputs, inputs.parent, runs, depth=50, outputs=[tmp_path / "out" / "one.run", tmp_path / "out" / "two.run"]
        )
    assert not (tmp_path / "out").exists()


def test_pairs_keep_their_lines(model, tmp_path):
    lines = [
        '{"query": "paris", "passage": "city", "id": 12345678901234567890.10}',
        '  {"note":{"b":1,"a":[]} , "passage":"", "query":"th\\u00e9"  }  ',
        '{"query": "paris", "passage": "city", "id": null}',
    ]
    (tmp_path / "pairs.jsonl").write_text("\n\n".join(lines))
    score_own_pairs(scorer(model), tmp_path / "pairs.jsonl", tmp_path / "scored.jsonl")
    scored = (tmp_path / "scored.jsonl").read_text().splitlines()
    scores = [json.loads(line)["score"] for line in scored]
    assert scored == [f'{line.strip()[:-1].rstrip()}, "score": {score}}}' for line, score in zip(lines, scores, strict=True)]
    assert scores[0] == scores[2] != scores[1]


def test_the_lengths_are_those_the_checkpoint_was_trained_with(model):
    trained = scorer(model).lengths
    assert (trained.max_length, trained.max_query_length) == (BACKBONE.max_length, BACKBONE.max_query_length) == (24, 10)
    given = scorer(model, max_length=20, max_query_length=5).lengths
    assert (given.max_length, given.max_query_length) == (20, 5)
    untrained = scorer(model.parents[2] / "untrained").lengths
    assert (untrained.max_length, untrained.max_query_length) == (24, 12)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("one.run", "q0 Q0 p0 1 2 t\nq9 Q0 p1 1 2 t\n", r"one\.run: query 'q9' is not in the collection \(1 of 2"),
        ("one.run", "q0 Q0 p0 1 2 t\nq0 Q0 p77 1 1 t\n", r"one\.run: passage 'p77' is not in the collection"),
        ("queries.tsv", "q0\tparis\nq1\t \n", r"queries\.tsv: query 'q1' is empty"),
        ("queries.tsv", "q0\tparis\nq1\tcity\nq0\tthames\n", r"queries\.tsv: id 'q0' is there twice"),
        ("passages.parquet", pl.DataFrame({"id": ["p0"], "body": ["a"]}), "its columns are id, body; expected id and text"),
    ],
)
def test_bad_files_of_a_run_stop_it(model, runs, texts, tmp_path, file, content, message):
    path = tmp_path / file
    if isinstance(content, pl.DataFrame):
        content.write_parquet(path)
        texts = texts[0], path
    else:
        path.write_text(content)
    outputs = [str(tmp_path / "out" / f"{name}.run") for name in CANDIDATES]
    with pytest.raises(InputError, match=message):
        rerank(model, runs, texts, outputs)
    assert not (tmp_path / "out").exists()


def test_an_output_replaces_nothing_but_an_output(model, runs, texts, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").touch()
    (tmp_path / "link").symlink_to("kept.out")  # as /dev/stdout is one
    os.mkfifo(tmp_path / "pipe.run")
    before = (tmp_path / "one.run").read_bytes()
    for outputs, message in (
        (["folder", "two.out"], "folder: the output is a folder"),
        (["link", "two.out"], "link: the output is .*a link"),
        (["pipe.run", "two.out"], "pipe.run: the output is .*a device"),
        (["new.gz", "two.out"], r"new\.gz: outputs are not packed"),
        (["one.run", "two.out"], r"one\.run: this file is an input"),
        (["folder/../queries.tsv", "two.out"], r"queries\.tsv: this file is an input"),
        (["same.out", "same.out"], r"same\.out: this file is an input or another output"),
    ):
        with pytest.raises(InputError, match=message):
            rerank(model, runs, texts, [tmp_path / output for output in outputs])
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("\n")
    with pytest.raises(InputError, match=r"pairs\.jsonl: this file is an input"):
        score_own_pairs(scorer(model), pairs, pairs)
    with pytest.raises(InputError, match=r"pairs\.jsonl: found no pairs"):
        score_own_pairs(scorer(model), pairs, tmp_path / "scored.out")
    assert (tmp_path / "folder" / "kept").exists() and (tmp_path / "one.run").read_bytes() == before
    assert not list(tmp_path.glob("*.out"))


def test_what_is_no_re_ranker_stops_it(tmp_path):
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"query": "paris", "passage": "city"}\n')

    def message(folder, **changes):
        with pytest.raises(InputError) as caught:
            score_own_pairs(scorer(folder, **changes), pairs, tmp_path / "scored.jsonl")
        assert not (tmp_path / "scored.jsonl").exists()
        return str(caught.value)

    assert "config.json is missing" in message(tmp_path / "absent")
    assert "['BertForSequenceClassification'], has 3 labels; a re-ranker classifies" in message(
        write_bert_checkpoint(tmp_path / "three", labels=3)
    )
    folder = write_bert_checkpoint(tmp_path / "one")
    assert "does not record how many tokens a pair has; give max_length" in message(folder)
    assert "finds no usable GPU here" in message(folder, max_length=20, device="cuda")


def test_the_command_writes_what_the_functions_write(model, runs, texts, tmp_path):
    """From another folder, with relative paths."""
    command = "--run one.run --depth 2 --queries queries.tsv --passages passages.jsonl.gz --output out/one.run"
    command = f"-m multistage rerank --model {model} --tokens-per-batch 64 --precision float32 {command}"
    ended = subprocess.run([sys.executable, *command.split()], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0 and "3 of 3 pairs" in ended.stderr
    rerank(model, runs[:1], texts, [tmp_path / "direct.run"], depth=2)
    assert (tmp_path / "out" / "one.run").read_bytes() == (tmp_path / "direct.run").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--run a --output b", "--run needs --queries and --passages"),
        ("--pairs a --depth 3 --output b", "--depth go with --run"),
        ("--pairs a --output b c", "--output needs one file for each run"),
        ("--pairs a --output b --max-length 0", "invalid positive value: '0'"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(multistage, arguments, message):
    assert message in multistage("rerank", "--model", "absent", *arguments.split())
