"""Queries and passages of MS MARCO's shape: TREC DL 2019's own where they lie beside the project, generated ones elsewhere."""

import gzip
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer

DL19 = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "dl19"


class Candidates(NamedTuple):
    """queries: their texts. passages: as many lists of passage texts. source: where they are from."""

    queries: list[str]
    passages: list[list[str]]
    source: str


def candidates(queries: int, depth: int, tokenizer: Tokenizer) -> Candidates:
    """The first queries with `depth` passages each; generated of the tokenizer's words."""
    return _dl19(queries, depth) if DL19.is_dir() else _generated(queries, depth, tokenizer)


def _dl19(queries: int, depth: int) -> Candidates:
    with gzip.open(DL19 / "passages.jsonl.gz", "rt", encoding="utf-8") as stream:
        texts = {record["docid"]: next(v for k, v in record.items() if k != "docid") for record in map(json.loads, stream)}
    topics = dict(line.split("\t") for line in (DL19 / "topics.tsv").read_text(encoding="utf-8").splitlines())
    found: dict[str, list[str]] = {}
    with gzip.open(DL19 / "bm25-top100.run.gz", "rt") as stream:
        for line in stream:
            query, _, passage, *_ = line.split()
            found.setdefault(query, []).append(texts[passage])
    chosen = [query for query, passages in found.items() if len(passages) >= depth][:queries]
    return Candidates([topics[q] for q in chosen], [found[q][:depth] for q in chosen], "TREC DL 2019, BM25's candidates")


def _generated(queries: int, depth: int, tokenizer: Tokenizer) -> Candidates:
    """Lengths as MS MARCO's: queries of 6 words or so, passages lognormal around 55, from 8 to 200."""
    generator = np.random.default_rng(42)
    words = sorted(word for word in tokenizer.get_vocab() if word.isascii() and word.isalpha() and len(word) > 2)[:5000]

    def text(count: float) -> str:
        return " ".join(words[min(int(rank), len(words)) - 1] for rank in generator.zipf(1.3, int(count)))

    passages = [[text(length) for length in np.clip(generator.lognormal(4.0, 0.42, depth), 8, 200)] for _ in range(queries)]
    return Candidates([text(max(2, generator.poisson(6))) for _ in range(queries)], passages, "generated")
