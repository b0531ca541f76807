"""What the engine's benchmarks share: a MiniLM-size re-ranker in a folder, and its stores of some candidates."""

import sys
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from msmarco import Candidates, candidates

from crossencoder.backbone import BackboneSettings
from crossencoder.checkpoint import load_tokenizer
from crossencoder.groups import Groups
from crossencoder.stage import pairs_for
from crossencoder.tokens import Pairs, StoreFiles, TokenStore, build_store, load_tokenizer_file

BACKBONE = BackboneSettings(max_length=256, max_query_length=64, dropout=0.0, frozen=[])


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


def prepare_bench(model: str, queries: int, depth: int, folder: str) -> Bench:
    """Tokenise candidates for a model's folder into stores under `folder`."""
    tokenizer = load_tokenizer_file(f"{model}/tokenizer.json")
    texts = candidates(queries, depth, tokenizer)
    passages = _store(list(chain.from_iterable(texts.passages)), tokenizer, f"{folder}/passages")
    pairs = pairs_for(load_tokenizer(model), _store(texts.queries, tokenizer, f"{folder}/queries"), passages, BACKBONE)
    starts = np.cumsum([0, *map(len, texts.passages)])
    ranked = [[(int(start) + place, place + 1) for place in range(depth)] for start in starts[:-1]]
    return Bench(model, texts, pairs, Groups.from_lists("distillation", list(range(queries)), ranked))


def _store(texts: list[str], tokenizer: Tokenizer, name: str) -> TokenStore:
    files = StoreFiles(f"{name}.ids.npy", f"{name}.offsets.npy", f"{name}.json")
    build_store([texts], len(texts), tokenizer, files)
    return TokenStore(files)
