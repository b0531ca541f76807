"""Effectiveness by re-ranking depth, from scores that are there: no passage is scored again.

A re-ranker that is given the first d passages of a ranking puts those in the order of its scores, and leaves the others below,
as they were. Its scores of a pair do not depend on d, so one run at the largest depth holds all smaller ones.
"""

from pathlib import Path

import pandas as pd
import polars as pl

from multistage.data.runs import read_run, rows_of
from multistage.evaluation.judgements import Grades, Judgements, read_judgements
from multistage.evaluation.measures import SYSTEM, System, measure_ranking
from multistage.jobs.errors import InputError
from multistage.jobs.files import write_texts
from multistage.jobs.log import Rate

PLACE = pl.int_range(pl.len()).over("query")


class FirstStage:
    """The candidates of a benchmark's queries, each with its place in the first stage and its column in the judgements."""

    def __init__(self, path: str, depth: int, judgements: Judgements) -> None:
        """path: of the first stage's run, of which the first `depth` passages are re-ranked."""
        run = read_run(path, depth, queries=judgements.queries)
        self.judgements, self.passages = judgements, run["passage"].unique(maintain_order=True)
        found = judgements.with_columns_of(judgements.rows(run))
        candidate = pl.Series(rows_of(run["passage"], self.passages, path, "passage"))
        self.candidates = found.select("query", "column", passage=candidate, place=PLACE)

    def with_places(self, path: str) -> pl.DataFrame:
        """The candidates, each with its place in a re-ranked run, `again`, null where the run lacks it.

        Raises InputError as `read_run` does, and for a passage that is not a candidate of its query.
        """
        run = read_run(path, queries=self.judgements.queries, passages=self.passages)
        for query, passage, _ in run.join(self.candidates, on=["query", "passage"], how="anti").head(1).iter_rows():
            named = f"passage {self.passages[passage]!r} of query {self.judgements.queries[query]!r}"
            raise InputError(f"{path}: {named} is not among the candidates that it re-ranks.")
        return self.candidates.join(run.with_columns(again=PLACE), on=["query", "passage"], how="left", maintain_order="left")

    def reranked(self, places: pl.DataFrame, depth: int) -> Grades:
        """The ranking when the first `depth` candidates are re-ranked. places: what `with_places` gives."""
        below = pl.col("place") >= depth
        place = pl.when(below).then("place").otherwise("again")
        return self.judgements.ranking(places.sort("query", below, place, nulls_last=True, maintain_order=True))


def depth_curves(
    systems: list[System],
    runs: list[str],
    *,
    first_stages: dict[str, str],
    qrels: str,
    measure: str,
    relevance: int,
    candidates: int,
    depths: list[int],
    output: str | Path,
) -> None:
    """Measure every re-ranked run as if fewer passages had been re-ranked; write a row per system and depth (CSV).

    systems and runs go together. first_stages: the run of each retriever. candidates: of a query that the runs re-rank.
    Columns: SYSTEM, depth, measure, value (the mean over queries); depth 0 is the first stage. Raises InputError for a bad
    run, before anything is written.
    """
    judgements = read_judgements(qrels, relevance)
    stages = {name: FirstStage(path, candidates, judgements) for name, path in first_stages.items()}
    rate, rows = Rate(len(runs), "runs"), []
    for system, path in zip(systems, runs, strict=True):
        stage = stages[system.retriever]
        places = stage.with_places(path)
        for depth in (0, *depths):
            values = measure_ranking(stage.reranked(places, depth), judgements, [measure], relevance)[measure]
            rows.append([*system, depth, measure, float(values.mean())])
        rate.advance(1)
    curves = pd.DataFrame(rows, columns=[*SYSTEM, "depth", "measure", "value"])
    write_texts({output: curves.to_csv(index=False, float_format="%.6g")})
