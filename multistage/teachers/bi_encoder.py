"""A bi-encoder as teacher: its similarity, mixed with the first stage's score, orders a query's candidates."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from multistage.jobs.files import replacing
from multistage.jobs.log import Rate
from multistage.teachers.rankgpt import TaughtQuery

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

AT_ONCE = 1_000
Floats = npt.NDArray[np.float32]


def encode(encoder: "SentenceTransformer", texts: list[str]) -> Floats:
    """Unit vectors of the texts, (texts, width) float32."""
    rate = Rate(len(texts), "texts")
    parts = []
    for start in range(0, len(texts), AT_ONCE):
        batch = texts[start : start + AT_ONCE]
        parts.append(encoder.encode(batch, batch_size=64, normalize_embeddings=True, show_progress_bar=False))
        rate.advance(len(batch))
    return np.concatenate(parts).astype(np.float32)


def write_vectors(path: str | Path, vectors: Floats) -> None:
    """Write passage vectors, by row."""
    with replacing(path) as (partial,):
        np.save(partial, vectors)


def rank_candidates(
    run: pl.DataFrame,
    queries: pl.DataFrame,
    passages: pl.DataFrame,
    query_vectors: Floats,
    passage_vectors: Floats,
    weight: float,
) -> Iterator[TaughtQuery]:
    """The teacher's order of each query's candidates.

    run: rows of a first-stage run, in run order, cut at the depth the teacher ranks. queries, passages: id and text by row.
    *_vectors: unit vectors by row. weight: share of the teacher's own similarity.
    The order is by weight * s + (1 - weight) * f, where s is the cosine and f the first-stage score, each scaled to
    [0, 1] over the query's candidates (min-max, as in CombSUM); ties keep the first stage's order.
    """
    for (query,), own in run.group_by("query", maintain_order=True):
        similarity = passage_vectors[own["passage"].to_numpy()] @ query_vectors[query]
        mixed = weight * _scaled(similarity) + (1 - weight) * _scaled(own["score"].to_numpy())
        name, text = queries.row(query)
        yield TaughtQuery(
            query=name,
            text=text,
            candidates=passages[own["passage"]].rows(),
            scores=mixed.tolist(),
            order=[int(place) + 1 for place in np.argsort(-mixed, kind="stable")],
        )


def _scaled(scores: Floats) -> Floats:
    """Min-max scaling to [0, 1]; all zero where every score is the same."""
    spread = scores.max() - scores.min()
    return (scores - scores.min()) / spread if spread > 0 else np.zeros_like(scores)
