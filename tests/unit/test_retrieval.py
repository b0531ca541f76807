"""First stages: Lucene's BM25 against the formula, PLAID and dense search against brute force, parts against the whole."""

import json
import math
import re
from collections import Counter
from itertools import product

import numpy as np
import polars as pl
import pytest
import pytrec_eval
import torch
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from test_evaluation import nested

from multistage.data.runs import cut, in_run_order, read_run, with_ids, write_run, write_runs
from multistage.data.tables import stream_texts, write_texts
from multistage.evaluation.tuning import tune_bm25
from multistage.jobs.errors import InputError
from multistage.reporting.tables import tuned_sentences
from multistage.retrieval import encoding, lucene
from multistage.retrieval.dense import exact_search
from multistage.retrieval.encoding import (
    encode_passages,
    encode_queries,
    in_batches,
    read_vectors,
    search,
    shard_ids,
    shard_rows,
    write_vectors,
)
from multistage.retrieval.late_interaction import build_plaid, plaid_search
from small_models import write_bert_checkpoint

WORDS = ["paris", "france", "london", "thames", "river", "zebra", "violin", "copper", "lantern", "mozart"]
QUERIES = pl.DataFrame({"id": [f"q{row}" for row in range(20)], "text": [f"{a} {b}" for a in WORDS[:5] for b in WORDS[4:8]]})


@pytest.fixture(scope="module")
def passages():
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(WORDS, size=generator.integers(3, 20))) for _ in range(60)]
    return pl.DataFrame({"id": [f"p{row}" for row in range(len(texts))], "text": texts})


@pytest.fixture(scope="module")
def table(passages, tmp_path_factory):
    path = tmp_path_factory.mktemp("collection") / "passages.parquet"
    write_texts(path, passages.rows(), "test")
    return path


def load_encoder(folder, kind="dense", precision="float32", **settings):
    return encoding.load_encoder(folder, kind=kind, device="cpu", precision=precision, **{"max_length": 16, **settings})


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory):
    return write_bert_checkpoint(tmp_path_factory.mktemp("encoder"))


def bm25(query, text, texts, k1, b):
    """Robertson's BM25 as Lucene computes it, without the constant factor k1 + 1."""
    average = sum(len(other.split()) for other in texts) / len(texts)
    counts, score = Counter(text.split()), 0.0
    for word in query.split():
        containing = sum(word in other.split() for other in texts)
        idf = math.log(1 + (len(texts) - containing + 0.5) / (containing + 0.5))
        score += idf * counts[word] / (counts[word] + k1 * (1 - b + b * len(text.split()) / average))
    return score


def bm25_run(index, *texts):
    """What Lucene finds for queries 0, 1, …"""
    queries = pl.DataFrame({"id": [str(row) for row in range(len(texts))], "text": texts})
    return pl.concat(lucene.search(index, queries, k1=0.9, b=0.4, depth=10, threads=1))


def test_bm25_is_the_formula_for_queries_of_any_length(passages, table, tmp_path):
    index = tmp_path / "index"
    lucene.index_passages(table, index, threads=1)
    queries = ["zebra violin", "mozart lantern copper", "zebra " + " ".join(f"w{row}x" for row in range(3000))]
    texts = passages["text"].to_list()
    for query, found in zip(queries, bm25_run(index, *queries).partition_by("query", maintain_order=True), strict=True):
        words = " ".join(word for word in query.split() if word in WORDS)
        expected = sorted((bm25(words, text, texts, 0.9, 0.4) for text in texts), reverse=True)[:10]
        assert found["score"].to_list() == pytest.approx(expected, rel=0.02)  # Lucene stores lengths in one byte
    assert bm25_run(index, "unheard").is_empty()
    assert lucene.count_documents(index) == 60
    for path in index.glob("segments*"):
        path.unlink()
    with pytest.raises(InputError, match="index: Lucene cannot open this index"):
        bm25_run(index, queries[0])


def test_the_pair_that_is_chosen_is_the_best_by_trec_eval(table, tmp_path, caplog):
    lucene.index_passages(table, tmp_path / "index", threads=1)
    write_texts(tmp_path / "queries.parquet", QUERIES.rows(), "test")
    runs = {
        (k1, b): pl.concat(lucene.search(tmp_path / "index", QUERIES, k1=k1, b=b, depth=10, threads=1))
        for k1 in (0.3, 0.9, 2.0)
        for b in (0.0, 0.4, 1.0)
    }
    # The judgements are what the last but one ranks first, and other passages of some queries.
    first = cut(in_run_order(runs[2.0, 0.4]), 2).select("query", "passage", grade=pl.lit(1))
    first.vstack(cut(in_run_order(runs[0.3, 0.0]), 1).select("query", "passage", grade=pl.lit(1))[::4]).unique().write_parquet(
        tmp_path / "qrels.parquet"
    )
    files = tmp_path / "index", tmp_path / "queries.parquet", tmp_path / "qrels.parquet"
    tune, untuned = {"measure": "nDCG@10", "k1": [0.3, 2.0], "b": [0.0, 0.4, 1.0]}, {"k1": 0.9, "b": 0.4}
    options = {"relevance": 1, "depth": 10, "threads": 1, "output": tmp_path / "bm25.json"}
    tune_bm25(*files, tune=tune, untuned=untuned, **options)
    evaluator = pytrec_eval.RelevanceEvaluator(nested(pl.read_parquet(files[2])), {"ndcg_cut_10"})
    theirs = {
        pair: np.mean([each["ndcg_cut_10"] for each in evaluator.evaluate(nested(run)).values()]) for pair, run in runs.items()
    }
    found = json.loads((tmp_path / "bm25.json").read_text())
    means = {(each["k1"], each["b"]): each["mean"] for each in [*found["tried"], found["untuned"]]}
    assert list(means) == [*product(tune["k1"], tune["b"]), (0.9, 0.4)]
    assert means == pytest.approx({pair: theirs[pair] for pair in means}, abs=1e-9)
    assert (found["k1"], found["b"]) == (2.0, 0.4) == max(means, key=means.get) and found["queries"] == 20
    assert [record.message.partition(": ")[2] for record in caplog.records] == [
        "2, the highest k1 that was tried, is best; try higher ones too"
    ]
    said = tuned_sentences(["bm25"], [tmp_path / "bm25.json"], "validation")
    assert "bm25: k1 2 and b 0.4 were chosen from 6 pairs on the 20 queries of validation" in said
    assert f"nDCG@10 {theirs[2.0, 0.4]:.3f}" in said and f"k1 0.9 and b 0.4, {theirs[0.9, 0.4]:.3f}" in said


def test_threads_and_files_change_nothing_ties_included(passages, tmp_path, monkeypatch):
    """Every text is there six times, so that passages tie at every place, the last one too; one passage is empty."""
    texts = [("empty", " "), *((copy + name, text) for copy in "cafebd" for name, text in passages.rows())]
    write_texts(tmp_path / "passages.parquet", texts, "test")
    written = {}
    for threads, rows in ((1, 1000), (3, 40)):
        monkeypatch.setattr(lucene, "ROWS_A_FILE", rows)
        lucene.index_passages(tmp_path / "passages.parquet", tmp_path / "index", threads)
        assert not list((tmp_path / "index").glob(".*")) and not list((tmp_path / "index").glob("*.jsonl"))
        run = lucene.search(tmp_path / "index", QUERIES, k1=0.9, b=0.4, depth=10, threads=threads)
        write_runs(tmp_path / "run", run, tag="bm25")
        written[threads] = (tmp_path / "run").read_bytes()
    assert written[1] == written[3]
    last = read_run(tmp_path / "run").group_by("query").agg((pl.col("score") == pl.col("score").min()).sum())
    assert (last["score"] < 6).any()  # the cut does go through ties


@pytest.mark.parametrize("kind", ["dense", "colbert"])
def test_passages_that_are_read_in_part_are_counted(kind, passages, encoder_folder, tmp_path, caplog):
    encoder = load_encoder(encoder_folder, kind, pooling=None if kind == "colbert" else "mean")
    texts = passages["text"].to_list()
    cut = sum(len(encoder.tokenizer(text)["input_ids"]) > 16 for text in texts)
    assert 0 < cut < 60
    for some in (texts, [text[:12] for text in texts]):  # none of the second is long
        encode_passages(encoder, [some], total=60, output=tmp_path / "vectors")
    (said,) = [record.message for record in caplog.records if (record.name, record.levelname) == ("jobs", "WARNING")]
    assert said.startswith(f"{cut} of 60 passages ({cut / 60:.1%}) are read in part")


def test_a_passage_that_lucene_does_not_index_is_an_error(table, tmp_path, monkeypatch):
    monkeypatch.setattr(lucene, "count_texts", lambda path: 61)
    with pytest.raises(InputError, match="index: Lucene's index holds 60 of 61 passages"):
        lucene.index_passages(table, tmp_path / "index", threads=1)
    assert not list(tmp_path.iterdir())


@given(count=st.integers(1, 500), shards=st.integers(1, 40))
def test_parts_cover_every_row_once_and_evenly(count, shards):
    if shards > count:
        with pytest.raises(InputError, match=f"{shards} shards are too many for a collection of {count} passages"):
            shard_rows(count, 0, shards)
        return
    ranges = [shard_rows(count, shard, shards) for shard in range(shards)]
    assert [row for start, stop in ranges for row in range(start, stop)] == list(range(count))
    sizes = [stop - start for start, stop in ranges]
    assert max(sizes) - min(sizes) <= 1


@given(sizes=st.lists(st.integers(0, 9)), size=st.integers(1, 7))
def test_batches_hold_the_same_texts_in_the_same_order(sizes, size):
    names = iter(range(1000))
    texts = [[str(next(names)) for _ in range(some)] for some in sizes]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(encoding, "AT_ONCE", size)
        batches = list(in_batches(texts, sum(sizes)))
    assert [text for batch in batches for text in batch] == [text for some in texts for text in some]
    assert all(len(batch) == size for batch in batches[:-1]) and all(0 < len(batch) <= size for batch in batches)


def brute_force(queries, passages, depth):
    """The best passages by inner product, computed in double precision, as a run."""
    scores = (queries.double() @ passages.double().T).float().numpy()
    names = [f"p{row}" for row in range(len(passages))]
    runs = [pl.DataFrame({"query": f"q{row}", "passage": names, "score": line}) for row, line in enumerate(scores)]
    return cut(in_run_order(pl.concat(runs)), depth)


def merged(runs, depth, folder):
    """The run that the rule merge_shards makes of those of parts."""
    paths, passages = [folder / f"{shard}.run" for shard in range(len(runs))], pl.Series([f"p{row}" for row in range(60)])
    for path, run in zip(paths, runs, strict=True):
        write_run(path, run, "part")
    return with_ids(read_run(paths, depth, queries=QUERIES["id"], passages=passages), QUERIES["id"], passages)


def late_interaction_run(encoder, table, folder, shards, depth):
    """ColBERT's run from `shards` parts."""
    runs = []
    for shard in range(shards):
        names = shard_ids(table, shard, shards)
        start, stop = shard_rows(60, shard, shards)
        encode_passages(encoder, stream_texts(table, start, stop), total=stop - start, output=folder / "vectors.safetensors")
        build_plaid(folder / "vectors.safetensors", folder / "index", nbits=4, kmeans_passages=None, device="cpu")
        runs.extend(search(plaid_search(folder / "index", "cpu", 4096), encoder, QUERIES, names, depth=depth))
    return merged(runs, depth, folder)


def test_plaid_agrees_with_exact_late_interaction_in_any_parts(table, encoder_folder, tmp_path):
    encoder = load_encoder(encoder_folder, "colbert", max_length=32)
    runs = {shards: late_interaction_run(encoder, table, tmp_path, shards, depth=10) for shards in (3, 1)}
    tokens, lengths = read_vectors(tmp_path / "vectors.safetensors")
    vectors = tokens.float().split(lengths)
    assert len(vectors) == 60 and vectors[0].norm(dim=1).tolist() == pytest.approx([1] * len(vectors[0]), abs=1e-3)
    queries = encode_queries(encoder, QUERIES["text"].to_list())
    exact = torch.stack([torch.stack([(tokens @ passage.T).amax(dim=1).sum() for passage in vectors]) for tokens in queries])
    for shards, run in runs.items():
        assert run["query"].unique(maintain_order=True).equals(QUERIES["id"])
        overlap = []
        for scores, (_, found) in zip(exact, run.group_by("query", maintain_order=True), strict=True):
            best = {f"p{row}" for row in scores.topk(10).indices.tolist()}
            overlap.append(len(best & set(found["passage"])) / 10)
            scored = scores[[int(re.sub("p", "", name)) for name in found["passage"]]]
            assert found["score"].to_list() == pytest.approx(scored.tolist(), abs=0.15)
        assert np.mean(overlap) > 0.8, shards
        # The scores of these are then within twice the tolerance above.
        assert len(run.join(runs[1], on=["query", "passage"])) > 0.8 * len(run)
    for path in (tmp_path / "index").glob("*.npy"):
        np.load(path, allow_pickle=False)


def test_vectors_come_back_as_they_were_written(tmp_path):
    path = tmp_path / "folder" / "vectors.safetensors"
    parts = [(torch.randn(5, 4), [2, 3]), (torch.randn(1, 4), [1])]
    write_vectors(path, parts)
    vectors, lengths = read_vectors(path)
    assert lengths == [2, 3, 1] and torch.equal(vectors, torch.cat([part for part, _ in parts]).half())
    assert [file.name for file in path.parent.iterdir()] == ["vectors.safetensors"]
    with pytest.raises(InputError, match=r"torch\.float16 cannot"):
        write_vectors(path, [(torch.full((1, 4), 1e6), [1])])
    assert torch.equal(read_vectors(path)[0], vectors)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_dense_vectors_are_the_pooled_ones(table, passages, encoder_folder, tmp_path, pooling):
    from transformers import AutoModel, AutoTokenizer

    encoder = load_encoder(encoder_folder, pooling=pooling)
    encode_passages(encoder, stream_texts(table), total=60, output=tmp_path / "vectors.safetensors")
    vectors, lengths = read_vectors(tmp_path / "vectors.safetensors")
    assert lengths == [1] * 60
    tokenizer, model = AutoTokenizer.from_pretrained(encoder_folder), AutoModel.from_pretrained(encoder_folder).eval()
    for row in (0, 17, 59):
        tokens = tokenizer(passages["text"][row], truncation=True, max_length=16, return_tensors="pt")
        with torch.inference_mode():
            states = model(**tokens).last_hidden_state[0]
        expected = states[0] if pooling == "cls" else states.mean(dim=0)
        assert vectors[row].tolist() == pytest.approx(expected.tolist(), abs=2e-3)


def test_dense_runs_do_not_depend_on_the_parts(table, encoder_folder, tmp_path):
    encoder = load_encoder(encoder_folder, pooling="mean")
    queries = torch.from_numpy(encoder.encode_query(QUERIES["text"].to_list(), show_progress_bar=False))
    path = tmp_path / "vectors.safetensors"
    encode_passages(encoder, stream_texts(table), total=60, output=path)
    whole = next(search(exact_search(path, "cpu"), encoder, QUERIES, shard_ids(table, 0, 1), depth=5))
    assert_frame_equal(whole, brute_force(queries, read_vectors(path)[0], 5))
    runs = []
    for shard in range(4):
        start, stop = shard_rows(60, shard, 4)
        write_vectors(tmp_path / "part.safetensors", [(read_vectors(path)[0][start:stop], [1] * (stop - start))])
        find = exact_search(tmp_path / "part.safetensors", "cpu")
        runs.extend(search(find, encoder, QUERIES, shard_ids(table, shard, 4), depth=5))
    assert_frame_equal(merged(runs, 5, tmp_path), whole)


@pytest.mark.parametrize(("kind", "pooling"), [("colbert", None), ("dense", "mean")])
def test_an_encoder_multiplies_in_bfloat16_and_what_follows_it_is_float32(encoder_folder, monkeypatch, kind, pooling):
    """With auto, where the hardware has bfloat16."""
    found, texts = {}, ["paris river"]
    for precision in ("float32", "bfloat16"):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda has=precision == "bfloat16": {"avx512_bf16": has})
        encoder, seen = load_encoder(encoder_folder, kind, precision="auto", pooling=pooling), set()
        for layer in (module for module in encoder[0].modules() if isinstance(module, torch.nn.Linear)):
            layer.register_forward_hook(lambda _, __, output, seen=seen: seen.add(output.dtype))
        found[precision] = encoder.encode_document(texts, convert_to_numpy=False)[0]
        assert (torch.bfloat16 in seen) == (precision == "bfloat16")
    assert found["bfloat16"].dtype == torch.float32 and not torch.equal(*found.values())
    assert torch.allclose(*found.values(), atol=0.03)


def test_a_trained_bi_encoder_keeps_its_own_pooling(encoder_folder, tmp_path):
    made = load_encoder(encoder_folder, max_length=32, pooling="cls")
    made.save(str(tmp_path / "trained"))
    taken = load_encoder(tmp_path / "trained", pooling="cls")
    assert taken.max_seq_length == 16
    texts = ["paris river", "the capital of france"]
    assert np.array_equal(taken.encode(texts), made.encode(texts))
    with pytest.raises(InputError, match=r"trained: modules\.json pools by cls, the config by mean"):
        load_encoder(tmp_path / "trained", pooling="mean")
