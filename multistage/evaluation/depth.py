"""Effectiveness by re-ranking depth, from scores that are there: no passage is scored again.

A re-ranker that is given the first d passages of a ranking puts those in the order of its scores, and leaves the others below,
as they were. Its scores of a pair do not depend on d, so one run at the largest depth holds all smaller ones.
"""

from pathlib import Path

import pandas as pd
import polars as pl

from multistage.config.recipes import FIRST_STAGE, FUSED, TEACHER
from multistage.evaluation.fusion import read_both
from multistage.evaluation.judgements import read_judgements
from multistage.evaluation.measures import SYSTEM, System, measure_ranking
from multistage.jobs.files import write_texts
from multistage.jobs.log import Rate


def depth_curves(
    systems: list[System],
    runs: list[str],
    *,
    qrels: str,
    measure: str,
    relevance: int,
    candidates: int,
    depths: list[int],
    output: str | Path,
) -> None:
    """Measure every re-ranked run as if fewer passages had been re-ranked; write a row per system and depth (CSV).

    systems and runs go together; first stages are among them, teachers and fused ones are passed over. candidates: of a query
    that are re-ranked. Columns: SYSTEM, depth, measure, value (the mean over queries); depth 0 is the first stage. Raises
    InputError for a bad run, before anything is written.
    """
    judgements = read_judgements(qrels, relevance)
    first_stage, rate, rows = {}, Rate(len(runs), "runs"), []
    for (retriever, backbone, recipe, seed), path in zip(systems, runs, strict=True):
        rate.advance(1)
        if recipe == FIRST_STAGE:
            first_stage[retriever] = path
        if recipe in (FIRST_STAGE, TEACHER) or recipe.endswith(FUSED):
            continue
        found = judgements.locate(read_both(path, first_stage[retriever], candidates))
        for depth in (0, *depths):
            below = pl.col("first_place") >= depth
            ranking = judgements.ranking(found.sort("query", below, pl.when(below).then("first_place").otherwise("place")))
            values = measure_ranking(ranking, judgements, [measure])[measure]
            rows.append([retriever, backbone, recipe, seed, depth, measure, float(values.mean())])
    curves = pd.DataFrame(rows, columns=[*SYSTEM, "depth", "measure", "value"])
    write_texts({output: curves.to_csv(index=False, float_format="%.6g")})
