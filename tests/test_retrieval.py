"""First stages: Lucene's BM25 against the formula, PLAID against exact MaxSim."""

import math
import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch

from jobs.errors import InputError
from retrieval.late_interaction import build_plaid, encode_passages, encode_queries, load_encoder, read_vectors, search_plaid
from retrieval.lucene import index_passages, search

WORDS = ["paris", "france", "london", "thames", "river", "zebra", "violin", "copper", "lantern", "mozart"]


@pytest.fixture(scope="module")
def passages():
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(WORDS, size=generator.integers(3, 20))) for _ in range(60)]
    return pd.DataFrame({"id": [f"p{row}" for row in range(len(texts))], "text": texts})


def bm25(query, text, texts, k1, b):
    """Robertson's BM25 as Lucene computes it, without the constant factor k1 + 1."""
    average = sum(len(other.split()) for other in texts) / len(texts)
    counts, score = Counter(text.split()), 0.0
    for word in query.split():
        containing = sum(word in other.split() for other in texts)
        idf = math.log(1 + (len(texts) - containing + 0.5) / (containing + 0.5))
        score += idf * counts[word] / (counts[word] + k1 * (1 - b + b * len(text.split()) / average))
    return score


def test_bm25_is_the_formula(passages, tmp_path):
    index_passages(passages, tmp_path / "index", threads=1)
    queries = pd.DataFrame({"id": ["a", "b"], "text": ["zebra violin", "mozart lantern copper"]})
    run = search(tmp_path / "index", queries, k1=0.9, b=0.4, depth=10, threads=1)
    texts = passages["text"].tolist()
    for row in queries.itertuples():
        found = run[run["query"] == row.id]
        expected = sorted((bm25(row.text, text, texts, 0.9, 0.4) for text in texts), reverse=True)[:10]
        assert found["score"].tolist() == pytest.approx(expected, rel=0.02)  # Lucene stores lengths in one byte
        assert len(found) == 10
    with pytest.raises(InputError, match="not one of 1 queries found a passage"):
        search(tmp_path / "index", queries[:1].assign(text="unheard"), k1=0.9, b=0.4, depth=10, threads=1)


def test_plaid_agrees_with_exact_late_interaction(passages, checkpoint, tmp_path):
    encoder = load_encoder(checkpoint, max_length=32, device="cpu")
    encode_passages(encoder, passages["text"].tolist(), tmp_path / "vectors.safetensors")
    vectors = read_vectors(tmp_path / "vectors.safetensors")
    assert len(vectors) == len(passages) and vectors[0].norm(dim=1).tolist() == pytest.approx([1] * len(vectors[0]), abs=1e-3)
    build_plaid(vectors, nbits=4, kmeans_passages=None, seed=0, device="cpu", output=tmp_path / "index")
    queries = pd.DataFrame(
        {"id": [f"q{row}" for row in range(20)], "text": [f"{a} {b}" for a in WORDS[:5] for b in WORDS[4:8]]}
    )
    run = search_plaid(
        tmp_path / "index", encoder, queries, passages["id"].to_numpy(object), depth=10, full_scores=4096, device="cpu"
    )
    overlap = []
    for (_query, found), tokens in zip(
        run.groupby("query", sort=False), encode_queries(encoder, queries["text"].tolist()), strict=True
    ):
        exact = torch.stack([(tokens @ passage.T).amax(dim=1).sum() for passage in vectors])
        best = {f"p{row}" for row in exact.topk(10).indices.tolist()}
        overlap.append(len(best & set(found["passage"])) / 10)
        scored = exact[[int(re.sub("p", "", name)) for name in found["passage"]]]
        assert found["score"].to_numpy() == pytest.approx(scored.numpy(), abs=0.15)
    assert np.mean(overlap) > 0.8


def test_punctuation_matches_nothing(checkpoint):
    encoder = load_encoder(checkpoint, max_length=32, device="cpu")
    plain, dotted = encoder.encode_document(["paris france", "paris . france ,"], show_progress_bar=False)
    assert len(plain) <= len(dotted)
