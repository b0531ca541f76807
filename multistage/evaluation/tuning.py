"""BM25's k1 and b, chosen on validation queries."""

import json
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl

from multistage.data.runs import in_run_order
from multistage.data.tables import read_texts
from multistage.evaluation.judgements import read_judgements
from multistage.evaluation.measures import mean_of
from multistage.jobs.files import write_texts
from multistage.jobs.log import logger
from multistage.retrieval.lucene import search


def tune_bm25(
    index: str | Path,
    queries: str | Path,
    qrels: str | Path,
    *,
    tune: Mapping[str, Any],
    untuned: Mapping[str, float],
    relevance: int,
    depth: int,
    threads: int,
    output: str | Path,
) -> None:
    """Search validation queries with every pair of k1 and b and write the best as JSON, beside what each reached.

    tune: lists k1 and b, and the measure whose mean over judged queries counts; of equal pairs the first is taken. untuned: the
    k1 and b that are measured for comparison only. Raises InputError as `search` and `read_judgements` do.
    """
    asked, judgements = read_texts(queries), read_judgements(qrels, relevance)

    def reached(k1: float, b: float) -> dict[str, float]:
        run = pl.concat(search(index, asked, k1=k1, b=b, depth=depth, threads=threads))
        return {"k1": k1, "b": b, "mean": mean_of(in_run_order(run), judgements, tune["measure"])}

    tried = [reached(k1, b) for k1, b in product(tune["k1"], tune["b"])]
    best = max(tried, key=lambda each: each["mean"])
    logger.info(f"k1 {best['k1']:g}, b {best['b']:g}: {tune['measure']} {best['mean']:.4f}")
    record = {
        **best,
        "untuned": reached(**untuned),
        "measure": tune["measure"],
        "relevance": relevance,
        "queries": len(judgements.queries),
        "inputs": {"index": str(index), "queries": str(queries), "qrels": str(qrels)},
        "tried": tried,
    }
    write_texts({output: json.dumps(record, indent=1) + "\n"})
