"""From runs and judgements to training groups and the validation set."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from multistage.data.groups import Groups
from multistage.data.matrix import Matrix
from multistage.data.runs import rows_of
from multistage.data.validation_set import ValidationSet

logger = logging.getLogger("jobs")

# Queries whose candidates are gone through together: a few tens of megabytes at depth 200.
QUERIES_AT_ONCE = 10_000


@dataclass
class GroupCounts:
    """What became of the queries of a training set.

    no_relevant: dropped, no judged passage is relevant. no_candidates: dropped, nothing to compare with.
    """

    kept: int = 0
    no_relevant: int = 0
    no_candidates: int = 0


def contrastive_groups(
    candidates: Matrix, qrels: pd.DataFrame, queries: pd.Index, passages: pd.Index, source: str | Path
) -> tuple[Groups, GroupCounts]:
    """Every query's relevant passages (rank 1) and, as negatives (rank 2), the retrieved ones not judged relevant.

    candidates: (queries, depth) passage rows in run order, -1 padded, cut at the depth negatives are drawn from.
    A relevant passage need not have been retrieved: it comes from the judgements. A query without a relevant passage, or
    without a negative, is dropped and counted. Raises InputError naming `source` for a relevant passage that is not known.
    """
    relevant = _relevant(qrels, queries, passages, source)
    blocks = [slice(start, start + QUERIES_AT_ONCE) for start in range(0, len(queries), QUERIES_AT_ONCE)]
    negatives = np.concatenate([_is_negative(candidates[block], relevant[block]).sum(axis=1) for block in blocks])
    positives = (relevant >= 0).sum(axis=1)
    kept = (positives > 0) & (negatives > 0)
    counts = GroupCounts(int(kept.sum()), int((positives == 0).sum()), int(((positives > 0) & (negatives == 0)).sum()))
    logger.info("contrastive groups: %s", asdict(counts))
    rows = np.full((counts.kept, int((positives + negatives)[kept].max(initial=0))), -1, dtype=np.int32)
    ranks = np.zeros(rows.shape, dtype=np.int16)
    lines = np.cumsum(kept) - 1
    for block in blocks:
        wanted, found = relevant[block], candidates[block]
        for rows_of_kind, members, first, rank in (
            (wanted, wanted >= 0, np.zeros_like(positives[block]), 1),
            (found, _is_negative(found, wanted), positives[block], 2),
        ):
            query, column = np.nonzero(members & kept[block, None])
            places = first[query] + members.cumsum(axis=1)[query, column] - 1
            rows[lines[block][query], places] = rows_of_kind[query, column]
            ranks[lines[block][query], places] = rank
    chosen = np.flatnonzero(kept).astype(np.int32)
    return Groups("contrastive", chosen, rows, ranks, np.empty((counts.kept, 0), dtype=np.float32)), counts


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
    run: pd.DataFrame, qrels: pd.DataFrame, queries: pd.Index, passages: pd.Index, source: str | Path
) -> ValidationSet:
    """Candidates and grades of the queries of a run, -1 and 0 where a query has fewer than others."""
    chosen = run["query"].drop_duplicates()
    graded = run.merge(qrels, on=["query", "passage"], how="left")["grade"].fillna(0).astype(np.int16).clip(lower=0)
    line = pd.factorize(run["query"])[0]
    column = run.groupby("query", sort=False).cumcount().to_numpy()
    rows = np.full((len(chosen), int(column.max()) + 1), -1, dtype=np.int32)
    grades = np.zeros(rows.shape, dtype=np.int16)
    rows[line, column] = rows_of(run["passage"], passages, source, "passage")
    grades[line, column] = graded
    return ValidationSet(rows_of(chosen, queries, source, "query"), rows, grades)


def _relevant(qrels: pd.DataFrame, queries: pd.Index, passages: pd.Index, source: str | Path) -> Matrix:
    """Rows of each query's relevant passages in the order of the judgements, (queries, most) int32, -1 padded."""
    judged = qrels[(qrels["grade"] > 0) & qrels["query"].isin(queries)]
    rows = rows_of(judged["passage"], passages, source, "passage")
    lines = rows_of(judged["query"], queries, source, "query")
    order = np.argsort(lines, kind="stable")
    sizes = np.bincount(lines, minlength=len(queries))
    matrix = np.full((len(queries), int(sizes.max())), -1, dtype=np.int32)
    matrix[lines[order], np.arange(len(lines)) - np.repeat(np.cumsum(sizes) - sizes, sizes)] = rows[order]
    return matrix


def _is_negative(candidates: Matrix, relevant: Matrix) -> npt.NDArray[np.bool]:
    """Which candidates are passages that are not judged relevant, (queries, depth)."""
    negative = candidates >= 0
    for column in relevant.T:
        negative &= candidates != column[:, None]
    return negative


def _rows_by_query(table: pd.DataFrame, passages: pd.Index, source: str | Path) -> dict[str, list[int]]:
    """Passage rows of each query, in the table's order."""
    rows = pd.Series(rows_of(table["passage"], passages, source, "passage"))
    return {str(query): group.tolist() for query, group in rows.groupby(table["query"].to_numpy(), sort=False)}
