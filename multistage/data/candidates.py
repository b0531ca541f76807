"""From runs and judgements to training groups and the validation set."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from safetensors import safe_open
from safetensors.numpy import save_file

from multistage.data.groups import Groups
from multistage.data.runs import ranks_of, rows_of, with_ids
from multistage.data.validation_set import ValidationSet
from multistage.jobs.files import replacing

logger = logging.getLogger("jobs")
Matrix = npt.NDArray[np.int32]

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
    candidates: Matrix, qrels: pl.DataFrame, queries: pl.Series, passages: pl.Series, source: str | Path
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


def distillation_groups(run: pl.DataFrame, queries: int, scored: bool) -> tuple[Groups, GroupCounts]:
    """Every query's passages in the teacher's order, with ranks from 1; a query with fewer than two is dropped.

    run: rows of queries and passages, in run order. queries: how many there are. scored: whether the run's scores are the
    teacher's own, and kept, or only express its order.
    """
    query = run["query"].to_numpy()
    kept = np.bincount(query, minlength=queries) >= 2
    counts = GroupCounts(int(kept.sum()), no_candidates=int((~kept).sum()))
    logger.info("distillation groups: %s", asdict(counts))
    taught = run.filter(kept[query])
    line, column = (np.cumsum(kept) - 1)[taught["query"]], ranks_of(taught["query"].to_numpy())
    rows = np.full((counts.kept, int(column.max(initial=-1)) + 1), -1, dtype=np.int32)
    ranks = np.zeros(rows.shape, dtype=np.int16)
    scores = np.full((counts.kept, rows.shape[1] if scored else 0), np.nan, dtype=np.float32)
    rows[line, column], ranks[line, column] = taught["passage"], column + 1
    if scored:
        scores[line, column] = taught["score"]
    return Groups("distillation", np.flatnonzero(kept).astype(np.int32), rows, ranks, scores), counts


def validation_set(
    run: pl.DataFrame, qrels: pl.DataFrame, queries: pl.Series, passages: pl.Series, limit: int
) -> ValidationSet:
    """Candidates and grades of the first `limit` queries of a run, -1 and 0 where a query has fewer than others.

    run: rows of queries and passages, in run order. queries, passages: their ids.
    """
    chosen = run["query"].unique(maintain_order=True).head(limit)
    run = run.filter(pl.col("query").is_in(chosen.implode()))
    ids = with_ids(run, queries, passages)
    graded = ids.join(qrels, on=["query", "passage"], how="left", maintain_order="left")["grade"].fill_null(0).clip(0)
    column = ranks_of(run["query"].to_numpy())
    line = np.cumsum(column == 0) - 1
    rows = np.full((len(chosen), int(column.max()) + 1), -1, dtype=np.int32)
    grades = np.zeros(rows.shape, dtype=np.int16)
    rows[line, column], grades[line, column] = run["passage"], graded
    return ValidationSet(chosen.to_numpy(), rows, grades)


def candidate_matrix(run: pl.DataFrame, queries: int, depth: int) -> Matrix:
    """Passage rows of each query in run order, (queries, depth) int32, -1 where there are no more.

    run: rows of queries and passages, in run order, each query cut at `depth` or before.
    """
    matrix = np.full((queries, depth), -1, dtype=np.int32)
    query = run["query"].to_numpy()
    matrix[query, ranks_of(query)] = run["passage"]
    return matrix


def write_matrix(path: str | Path, matrix: Matrix) -> None:
    """Write a candidate matrix as safetensors, without a copy in memory."""
    with replacing(path) as (partial,):
        save_file({"passages": matrix}, partial)


def read_matrix(path: str | Path) -> Matrix:
    """Map what `write_matrix` wrote into memory."""
    with safe_open(path, framework="pt") as file:  # maps tensors, where framework="numpy" reads them
        return file.get_tensor("passages").numpy()


def _relevant(qrels: pl.DataFrame, queries: pl.Series, passages: pl.Series, source: str | Path) -> Matrix:
    """Rows of each query's relevant passages in the order of the judgements, (queries, most) int32, -1 padded."""
    judged = qrels.filter(pl.col("grade") > 0, pl.col("query").is_in(queries.implode()))
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
