"""Effectiveness by re-ranking depth, from scores that are there: no passage is scored again.

A re-ranker that is given the first d passages of a ranking puts those in the order of its scores, and leaves the others below,
as they were. Its scores of a pair do not depend on d, so one run at the largest depth holds all smaller ones.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import polars as pl

from multistage.evaluation.fusion import read_both
from multistage.evaluation.judgements import read_judgements
from multistage.evaluation.measures import SYSTEM, System, measure_ranking
from multistage.jobs.files import write_texts
from multistage.jobs.log import Rate


def depth_curves(
    systems: list[System],
    runs: list[str],
    *,
    retrievers: Sequence[str],
    first_stages: Sequence[str],
    qrels: str,
    measure: str,
    relevance: int,
    candidates: int,
    depths: list[int],
    output: str | Path,
) -> None:
    """Measure every re-ranked run as if fewer passages had been re-ranked; write a row per system and depth (CSV).

    systems and runs go together, and so do retrievers and first_stages, their runs. candidates: of a query that the runs
    re-rank. Columns: SYSTEM, depth, measure, value (the mean over queries); depth 0 is the first stage. Raises InputError for a
    bad run, before anything is written.
    """
    judgements = read_judgements(qrels, relevance)
    rate, rows = Rate(len(runs), "runs"), []
    first_stage = dict(zip(retrievers, first_stages, strict=True))
    for (retriever, *model), path in zip(systems, runs, strict=True):
        found = judgements.locate(read_both(path, first_stage[retriever], candidates))
        for depth in (0, *depths):
            below = pl.col("first_place") >= depth
            ranking = judgements.ranking(found.sort("query", below, pl.when(below).then("first_place").otherwise("place")))
            values = measure_ranking(ranking, judgements, [measure])[measure]
            rows.append([retriever, *model, depth, measure, float(values.mean())])
        rate.advance(1)
    curves = pd.DataFrame(rows, columns=[*SYSTEM, "depth", "measure", "value"])
    write_texts({output: curves.to_csv(index=False, float_format="%.6g")})
