"""A bi-encoder as teacher: its similarity, mixed with the first stage's score, orders a query's candidates."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float32]


def rank_candidates(run: pl.DataFrame, query_vectors: Floats, passage_vectors: Floats, weight: float) -> pl.DataFrame:
    """The run of a teacher over first-stage candidates.

    run: the candidates (query row, passage row, score), each query's together. *_vectors: (rows, width), of any length.
    The teacher's score is weight * s + (1 - weight) * f, where s is the cosine and f the first-stage score, each scaled to
    [0, 1] over the query's candidates (min-max, as in CombSUM).
    """
    query, passage, first_stage = (run[name].to_numpy() for name in ("query", "passage", "score"))
    scores = np.empty_like(first_stage)
    for start, end in pairwise([*np.flatnonzero(np.diff(query, prepend=-1)), len(query)]):
        similarity = _unit(passage_vectors[passage[start:end]]) @ _unit(query_vectors[query[start]])
        mixed = weight * _scaled(similarity) + (1 - weight) * _scaled(first_stage[start:end])
        scores[start:end] = _without_ties(mixed)
    return run.with_columns(score=scores)


def _unit(vectors: Floats) -> Floats:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _scaled(scores: Floats) -> Floats:
    """Min-max scaling to [0, 1]; all zero where every score is the same."""
    spread = scores.max() - scores.min()
    return (scores - scores.min()) / spread if spread > 0 else np.zeros_like(scores)


def _without_ties(scores: Floats) -> Floats:
    """Scores of which the later of equal ones is the next smaller number: a run would order equal scores by passage id, and
    the first in one ranking that is the last in the other always ties with its opposite at equal weights."""
    for better, worse in pairwise(np.argsort(-scores, kind="stable")):
        if scores[worse] >= scores[better]:
            scores[worse] = np.nextafter(scores[better], -np.inf, dtype=np.float32)
    return scores
