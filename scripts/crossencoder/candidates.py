"""From runs and judgements to training groups and the validation set."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from trec.runs import rows_of

from .groups import Groups
from .validation import ValidationSet

logger = logging.getLogger("jobs")


@dataclass
class GroupCounts:
    """What became of the queries of a training set.

    no_relevant: dropped, no judged passage is relevant. no_candidates: dropped, nothing to compare with.
    """

    kept: int = 0
    no_relevant: int = 0
    no_candidates: int = 0


def contrastive_groups(
    run: pd.DataFrame, qrels: pd.DataFrame, queries: pd.Index, passages: pd.Index, source: str | Path
) -> tuple[Groups, GroupCounts]:
    """Every query's relevant passages (rank 1) and, as negatives (rank 2), the retrieved ones not judged relevant.

    run: cut at the depth negatives are drawn from. A relevant passage need not have been retrieved: it comes from the
    judgements. A query without a relevant passage, or without a negative, is dropped and counted.
    """
    counts = GroupCounts()
    relevant = _rows_by_query(qrels[qrels["grade"] > 0], passages, source)
    retrieved = _rows_by_query(run, passages, source)
    rows_of(run["query"].drop_duplicates(), queries, source, "query")
    kept: list[int] = []
    ranked: list[list[tuple[int, int]]] = []
    for row, query in enumerate(queries):
        positives = relevant.get(query, [])
        judged_relevant = set(positives)
        negatives = [passage for passage in retrieved.get(query, []) if passage not in judged_relevant]
        if not positives:
            counts.no_relevant += 1
        elif not negatives:
            counts.no_candidates += 1
        else:
            kept.append(row)
            ranked.append([(passage, 1) for passage in positives] + [(passage, 2) for passage in negatives])
    counts.kept = len(kept)
    logger.info("contrastive groups: %s", asdict(counts))
    return Groups.from_lists("contrastive", kept, ranked), counts


def distillation_groups(
    run: pd.DataFrame, queries: pd.Index, passages: pd.Index, scored: bool, source: str | Path
) -> tuple[Groups, GroupCounts]:
    """Every query's passages in the teacher's order, with ranks from 1; a query with fewer than two is dropped.

    scored: whether the run's scores are the teacher's own, and kept, or only express its order.
    """
    counts = GroupCounts()
    taught = _rows_by_query(run, passages, source)
    scores = {str(query): group.tolist() for query, group in run.groupby("query", sort=False)["score"]}
    rows_of(run["query"].drop_duplicates(), queries, source, "query")
    kept: list[int] = []
    ranked: list[list[tuple[int, int]]] = []
    teacher: list[list[float]] = []
    for row, query in enumerate(queries):
        order = taught.get(query, [])
        if len(order) < 2:
            counts.no_candidates += 1
            continue
        kept.append(row)
        ranked.append([(passage, rank) for rank, passage in enumerate(order, start=1)])
        teacher.append(scores[query])
    counts.kept = len(kept)
    logger.info("distillation groups: %s", asdict(counts))
    return Groups.from_lists("distillation", kept, ranked, teacher if scored else None), counts


def validation_set(
    run: pd.DataFrame, qrels: pd.DataFrame, queries: pd.Index, passages: pd.Index, limit: int, source: str | Path
) -> ValidationSet:
    """Candidates and grades of the first `limit` queries of a run (already cut at the wanted depth)."""
    chosen = run["query"].drop_duplicates().iloc[:limit]
    run = run[run["query"].isin(chosen)]
    graded = run.merge(qrels, on=["query", "passage"], how="left")["grade"].fillna(0).astype(np.int16).clip(lower=0)
    line = pd.factorize(run["query"])[0]
    column = run.groupby("query", sort=False).cumcount().to_numpy()
    rows = np.full((len(chosen), int(column.max()) + 1), -1, dtype=np.int32)
    grades = np.zeros(rows.shape, dtype=np.int16)
    rows[line, column] = rows_of(run["passage"], passages, source, "passage")
    grades[line, column] = graded
    return ValidationSet(rows_of(chosen, queries, source, "query"), rows, grades)


def _rows_by_query(table: pd.DataFrame, passages: pd.Index, source: str | Path) -> dict[str, list[int]]:
    """Passage rows of each query, in the table's order."""
    rows = pd.Series(rows_of(table["passage"], passages, source, "passage"))
    return {str(query): group.tolist() for query, group in rows.groupby(table["query"].to_numpy(), sort=False)}
