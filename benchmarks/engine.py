"""What the engine's benchmarks share: a MiniLM-size re-ranker in a folder, and its stores of some candidates."""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch

from benchmarks.texts import Candidates, demo_candidates, run_candidates
from multistage.data.sampling import Groups
from multistage.data.tokens import Pairs, PairTemplate, TokenStore, load_tokenizer, padded

LENGTHS = {"max_length": 256, "max_query_length": 64}


@dataclass(frozen=True)
class Bench:
    """model: a folder. texts: candidates. pairs: of their stores. groups: each query's passages, ranked as they stand."""

    model: str
    texts: Candidates
    pairs: Pairs
    groups: Groups

    @property
    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Store rows of every pair: (pairs,) query rows and passage rows."""
        sizes = [len(passages) for passages in self.texts.passages]
        return np.repeat(np.arange(len(sizes)), sizes), np.arange(sum(sizes))

    @property
    def text_pairs(self) -> list[tuple[str, str]]:
        """The same pairs as texts."""
        return [(q, p) for q, passages in zip(self.texts.queries, self.texts.passages, strict=True) for p in passages]


@contextmanager
def cpu_bench(title: str, queries: int, tokens_per_batch: int) -> Iterator[tuple[argparse.Namespace, Bench, str]]:
    """A bench around a checkpoint with a new head, as the command line says: (options, bench, a folder for the duration)."""
    # Here alone: benchmarks.gpu runs where pydantic is not installed.
    from multistage.config.training import Backbone
    from multistage.training.stage import initialise

    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--checkpoint", default="results/checkpoints/minilm", help="a backbone's folder")
    parser.add_argument("--queries", type=int, default=queries)
    parser.add_argument("--depth", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--tokens-per-batch", type=int, default=tokens_per_batch)
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto", help="of our own engine")
    parser.add_argument(
        "--texts",
        nargs=3,
        metavar=("RUN", "QUERIES", "PASSAGES"),
        help="a TREC run and the texts of its ids, as `multistage rerank` takes them, instead of the demo's texts",
    )
    options = parser.parse_args()
    own, size = options.texts, {"queries": options.queries, "depth": options.depth}
    texts = run_candidates(*own, **size) if own else demo_candidates(**size)
    with tempfile.TemporaryDirectory() as folder:
        settings = Backbone.model_validate(LENGTHS | {"checkpoint": "given", "dropout": 0.0})
        initialise(options.checkpoint, settings, seed=42, output=f"{folder}/model")
        bench = prepare_bench(f"{folder}/model", texts)
        lengths = bench.pairs.total_lengths(*bench.rows)
        print(f"{len(lengths)} pairs, {bench.texts.source}; {lengths.mean():.0f} tokens, at most {lengths.max()}")
        print(f"{torch.get_num_threads()} threads, {options.precision}")
        yield options, bench, folder


def prepare_bench(model: str, texts: Candidates) -> Bench:
    """Tokenise candidates for a model's folder."""
    tokenizer = load_tokenizer(model)
    queries_store, passages_store = (
        TokenStore.of("bench", [own], len(own), tokenizer) for own in (texts.queries, list(chain.from_iterable(texts.passages)))
    )
    pairs = Pairs(queries_store, passages_store, PairTemplate.of(tokenizer), **LENGTHS)
    sizes = np.array([len(of_query) for of_query in texts.passages])
    rows = padded(np.arange(sizes.sum(), dtype=np.int32), sizes, -1)
    ranks = np.where(rows < 0, 0, np.arange(1, rows.shape[1] + 1)).astype(np.int16)
    queries, nothing = np.arange(len(sizes), dtype=np.int32), np.full(rows.shape, -1, dtype=np.int16)
    return Bench(model, texts, pairs, Groups(queries, rows, nothing, ranks, np.full(rows.shape, np.nan, dtype=np.float32)))
