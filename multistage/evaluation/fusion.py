"""Fusion of a re-ranker's scores with its first stage's, by ranx: a weighted sum of both, each normalised per query.

The weight is the re-ranker's; the first stage has the rest of 1. It is chosen on validation queries.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import polars as pl

from multistage.data.runs import in_run_order, write_run
from multistage.evaluation.judgements import read_judgements
from multistage.evaluation.measures import SYSTEM, System, mean_of
from multistage.evaluation.reranked import read_both
from multistage.jobs.files import read_json, write_texts
from multistage.jobs.log import logger

if TYPE_CHECKING:
    from ranx import Run

WEIGHTS = [step / 20 for step in range(21)]


class Sides:
    """A re-ranked run and the first-stage run it was made of, ready to be fused."""

    def __init__(self, reranked: str | Path, first_stage: str | Path, depth: int) -> None:
        """Read both, as `read_both` does."""
        self.both = read_both(reranked, first_stage, depth)
        self._ranx_runs = [_ranx_run(self.both.select("query", "passage", name)) for name in ("score", "first_score")]

    def fused(self, weight: float, norm: str) -> pl.DataFrame:
        """The fused run, in run order. weight: of the re-ranker. norm: ranx's name of a normalisation."""
        from ranx import fuse

        weights = {"weights": [weight, 1.0 - weight]}
        scores = fuse(self._ranx_runs, norm=norm, method="wsum", params=weights).to_dict()
        pairs = self.both.select("query", "passage")
        return in_run_order(pairs.with_columns(score=pl.Series(scores[query][passage] for query, passage in pairs.iter_rows())))


def choose_weight(
    reranked: str | Path,
    first_stage: str | Path,
    qrels: str | Path,
    *,
    depth: int,
    norm: str,
    measure: str,
    relevance: int,
    output: str | Path,
) -> None:
    """Try every weight on validation queries and write the best as JSON, beside what each reached.

    measure, relevance: as in `measures.measure_ranking`; the mean over queries counts, and of equal weights the smallest.
    Raises InputError as `read_both` does, or when run and judgements share no query.
    """
    sides, judgements = Sides(reranked, first_stage, depth), read_judgements(qrels, relevance)
    means = {weight: mean_of(sides.fused(weight, norm), judgements, measure, relevance) for weight in WEIGHTS}
    best, queries = max(means, key=means.__getitem__), len(judgements.queries)
    logger.info("weight of the re-ranker %.2f: %s %.4f on %d queries", best, measure, means[best], queries)
    if best in (0, 1):
        logger.warning("%s: fusion chose %s alone", output, "the re-ranker" if best else "the first stage")
    record = {
        "weight_of_reranker": best,
        "weight_of_first_stage": round(1.0 - best, 2),
        "norm": norm,
        "measure": measure,
        "relevance": relevance,
        "queries": queries,
        "inputs": {"reranked": str(reranked), "first_stage": str(first_stage), "qrels": str(qrels)},
        "tried": [{"weight_of_reranker": weight, "mean": mean} for weight, mean in means.items()],
    }
    write_texts({output: json.dumps(record, indent=1) + "\n"})


def read_weights(systems: list[System], files: list[str]) -> pd.DataFrame:
    """The re-ranker's weight in fused systems: SYSTEM without seed, low and high, over seeds.

    systems, files: each with what `choose_weight` wrote for it.
    """
    weights = [read_json(path, "weight_of_reranker")["weight_of_reranker"] for path in files]
    table = pd.DataFrame(systems, columns=SYSTEM).assign(weight=weights)
    return table.groupby(SYSTEM[:-1], sort=False)["weight"].agg(low="min", high="max").reset_index()


def fuse_files(
    reranked: str | Path, first_stage: str | Path, weight: str | Path, *, depth: int, tag: str, output: str | Path
) -> None:
    """Write the fused run. weight: what `choose_weight` wrote. Raises InputError as `read_both` does."""
    chosen = read_json(weight, "weight_of_reranker", "norm")
    run = Sides(reranked, first_stage, depth).fused(chosen["weight_of_reranker"], chosen["norm"])
    write_run(output, run, tag)


def _ranx_run(run: pl.DataFrame) -> "Run":
    from ranx import Run

    # Single precision becomes double in a list of Python's numbers.
    by_query = run.group_by("query", maintain_order=True)
    return Run.from_dict({query: dict(own[:, 1:].iter_rows()) for (query,), own in by_query})
