"""Effectiveness by re-ranking depth, from scores that are there: no passage is scored again.

A re-ranker that is given the first d passages of a ranking puts those in the order of its scores, and leaves the others below,
as they were. Its scores of a pair do not depend on d, so one run at the largest depth holds all smaller ones.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl

from multistage.data.runs import ranks_of, read_run, rows_of
from multistage.evaluation.judgements import UNJUDGED, Grades, Judgements, read_judgements
from multistage.evaluation.measures import SYSTEM, System, measure_ranking
from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing
from multistage.jobs.log import Rate

Places = npt.NDArray[np.int64]
# The place of a passage that a ranking does not have.
NONE = np.iinfo(np.int64).max


class FirstStage:
    """The candidates of a benchmark's queries, each with its place in the first stage and its column in the judgements."""

    def __init__(self, run: pl.DataFrame, judgements: Judgements) -> None:
        """run: ids in run order, cut at the depth that was re-ranked."""
        rows = judgements.rows(run)
        judged = rows["query"] >= 0
        rows, ids = rows.filter(judged), run["passage"].filter(judged)
        self.judgements, self.passages = judgements, ids.unique(maintain_order=True)
        self.queries = rows["query"].to_numpy()
        self.places = ranks_of(self.queries)
        self.columns = judgements.columns(self.queries, rows["passage"].to_numpy())
        self.shape = len(judgements.queries), int(self.places.max()) + 1, 2
        keys = self._keys(self.queries, rows_of(ids, self.passages, "first stage", "passage"))
        self._order = np.argsort(keys)
        self._known = keys[self._order]

    def read_reranked(self, path: str | Path) -> Places:
        """The place of each candidate in a re-ranked run, NONE where the run lacks it.

        Raises InputError as `read_run` does, and for a passage that is not a candidate of its query.
        """
        run = read_run(path, queries=self.judgements.queries, passages=self.passages)
        queries, passages = run["query"].to_numpy(), run["passage"].to_numpy()
        keys = self._keys(queries, passages)
        found = np.minimum(np.searchsorted(self._known, keys), len(self._known) - 1)
        if (self._known[found] != keys).any():
            wrong = int(np.argmax(self._known[found] != keys))
            query, passage = self.judgements.queries[int(queries[wrong])], self.passages[int(passages[wrong])]
            raise InputError(f"{path}: passage {passage!r} of query {query!r} is not among the candidates that it re-ranks.")
        places = np.full(len(self.queries), NONE)
        places[self._order[found]] = ranks_of(queries)
        return places

    def reranked(self, places: Places, depth: int) -> Grades:
        """The ranking when the first `depth` candidates are re-ranked, as `judgements.ranked_columns` gives it."""
        below = self.places >= depth
        order = np.lexsort((np.where(below, self.places, places), below, self.queries))
        ranking = np.full(self.shape, UNJUDGED)
        ranking[self.queries[order], ranks_of(self.queries[order]), 0] = self.columns[order]
        return ranking

    def _keys(self, queries: npt.NDArray[np.integer], passages: npt.NDArray[np.integer]) -> Places:
        return queries.astype(np.int64) * len(self.passages) + passages


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
    stages = {name: FirstStage(read_run(path, candidates), judgements) for name, path in first_stages.items()}
    rate, rows = Rate(len(runs), "runs"), []
    for system, path in zip(systems, runs, strict=True):
        stage = stages[system.retriever]
        places = stage.read_reranked(path)
        for depth in (0, *depths):
            values = measure_ranking(stage.reranked(places, depth), judgements, [measure], relevance)[measure]
            rows.append([*vars(system).values(), depth, measure, float(values.mean())])
        rate.advance(1)
    with replacing(output) as (partial,):
        pd.DataFrame(rows, columns=[*SYSTEM, "depth", "measure", "value"]).to_csv(partial, index=False, float_format="%.6g")
