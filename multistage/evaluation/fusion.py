"""Fusion of a re-ranker's scores with its first stage's: a weighted sum of both, each normalised per query.

The weight is the re-ranker's; the first stage has the rest of 1. It is chosen on validation queries.
"""

import json
from pathlib import Path

import pandas as pd
import polars as pl

from multistage.data.runs import in_run_order, read_run, write_run
from multistage.evaluation.judgements import read_judgements
from multistage.evaluation.measures import SYSTEM, System, mean_of
from multistage.jobs.errors import InputError
from multistage.jobs.files import read_json, write_texts
from multistage.jobs.log import logger
from multistage.retrieval.mean import Norm, normalised

WEIGHTS = [step / 20 for step in range(21)]


def read_both(reranked: str | Path, first_stage: str | Path, depth: int) -> pl.DataFrame:
    """The passages of both in the order of the re-ranked run: query, passage, score, place (from 0) and the same of the first
    stage, first_score and first_place.

    depth: passages of each query that were re-ranked. Raises InputError as `read_run` does, and where the passages differ.
    """
    place = pl.int_range(pl.len()).over("query")
    again = read_run(reranked).with_columns(place=place)
    first = read_run(first_stage, depth).select("query", "passage", first_score="score", first_place=place)
    both = again.join(first, on=["query", "passage"], maintain_order="left")
    if not len(both) == len(again) == len(first):
        raise InputError(
            f"{reranked} has {len(again):,} passages, the first {depth} of each query in {first_stage} are "
            f"{len(first):,}, and {len(both):,} are in both; delete the one that is older to have it made again."
        )
    return both


def fused(both: pl.DataFrame, weight: float, norm: Norm) -> pl.DataFrame:
    """The fused run, in run order. both: of `read_both`. weight: of the re-ranker. norm: as `normalised` takes it."""
    score = weight * normalised(norm, "score") + (1.0 - weight) * normalised(norm, "first_score")
    return in_run_order(both.select("query", "passage", score=score))


def choose_weight(
    reranked: str | Path,
    first_stage: str | Path,
    qrels: str | Path,
    *,
    depth: int,
    norm: Norm,
    measure: str,
    relevance: int,
    output: str | Path,
) -> None:
    """Try every weight on validation queries and write the best as JSON, beside what each reached.

    measure: its mean over queries counts; of equal weights the smallest is taken. relevance: the least relevant grade.
    Raises InputError as `read_both` does, or when run and judgements share no query.
    """
    both, judgements = read_both(reranked, first_stage, depth), read_judgements(qrels, relevance)
    means = {weight: mean_of(fused(both, weight, norm), judgements, measure) for weight in WEIGHTS}
    best, queries = max(means, key=means.__getitem__), len(judgements.queries)
    logger.info(f"weight of the re-ranker {best:.2f}: {measure} {means[best]:.4f} on {queries} queries")
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
    run = fused(read_both(reranked, first_stage, depth), chosen["weight_of_reranker"], chosen["norm"])
    write_run(output, run, tag)
