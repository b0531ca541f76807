"""Queries and candidate passages for benchmarks: the demo's own texts, those of any TREC run, or generated ones."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from tokenizers import Tokenizer

REPOSITORY = Path(__file__).resolve().parent.parent


class Candidates(NamedTuple):
    """queries: their texts. passages: as many lists of passage texts. source: where they come from."""

    queries: list[str]
    passages: list[list[str]]
    source: str


def demo_candidates(queries: int, depth: int) -> Candidates:
    """The demo's first queries, each with `depth` articles from its relevant one on, in the order of Wikipedia's list.

    Reads the package that `make demo` downloads first.
    """
    # Here and below alone: benchmarks.gpu runs where Polars is not installed.
    from multistage.data.vital_articles import article_passages, article_queries

    collection = yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8"))["collections"]["wikipedia"]
    wheel = REPOSITORY / "results" / "sources" / f"{collection['source']}.whl"
    if not wheel.is_file():
        raise SystemExit(f"{wheel} is missing; run `make demo` once, or give texts of your own with --texts.")
    passages = [text for _, text in article_passages(wheel, collection["member"], None)]
    query_set = article_queries(wheel, collection["member"], None)
    relevant = {query: int(passage) for query, passage, _ in reversed(query_set.judgements.rows())}
    chosen = list(query_set.queries)[:queries]
    around = [np.arange(relevant[query], relevant[query] + depth) % len(passages) for query, _ in chosen]
    return Candidates([text for _, text in chosen], [[passages[row] for row in rows] for rows in around], "the demo's texts")


def run_candidates(run: str, queries_file: str, passages_file: str, *, queries: int, depth: int) -> Candidates:
    """The first queries of a TREC run that have `depth` passages, with the texts that two files hold by id."""
    from multistage.data.local_files import read_own_texts
    from multistage.data.runs import read_run

    found: dict[str, list[str]] = {}
    table = read_run(run, depth)
    for query, passage in zip(table["query"], table["passage"], strict=True):
        found.setdefault(query, []).append(passage)
    chosen = [query for query, passages in found.items() if len(passages) >= depth][:queries]
    wanted = {passage for query in chosen for passage in found[query]}
    texts = {name: text for name, text in read_own_texts(passages_file) if name in wanted}
    topics = dict(read_own_texts(queries_file))
    return Candidates([topics[q] for q in chosen], [[texts[p] for p in found[q]] for q in chosen], run)


def generated_candidates(queries: int, depth: int, tokenizer: Tokenizer) -> Candidates:
    """The tokenizer's words in MS MARCO's lengths: queries of about 6 words, passages lognormal around 55, from 8 to 200."""
    generator = np.random.default_rng(42)
    words = sorted(word for word in tokenizer.get_vocab() if word.isascii() and word.isalpha() and len(word) > 2)[:5000]

    def text(count: float) -> str:
        return " ".join(words[min(int(rank), len(words)) - 1] for rank in generator.zipf(1.3, int(count)))

    passages = [[text(length) for length in np.clip(generator.lognormal(4.0, 0.42, depth), 8, 200)] for _ in range(queries)]
    return Candidates([text(max(2, generator.poisson(6))) for _ in range(queries)], passages, "generated texts")
