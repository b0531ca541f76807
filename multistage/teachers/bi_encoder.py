"""A bi-encoder as teacher: its similarity, mixed with the first stage's score, orders a query's candidates."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from multistage.data.runs import rows_of
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
    run: pd.DataFrame,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    query_vectors: Floats,
    passage_vectors: Floats,
    weight: float,
    source: str | Path,
) -> Iterator[TaughtQuery]:
    """The teacher's order of each query's candidates.

    run: first-stage run, in run order, cut at the depth the teacher ranks. queries, passages: id and text by row.
    *_vectors: unit vectors by row. weight: share of the teacher's own similarity.
    The order is by weight * s + (1 - weight) * f, where s is the cosine and f the first-stage score, each scaled to
    [0, 1] over the query's candidates (min-max, as in CombSUM); ties keep the first stage's order.
    Raises InputError for a query or passage id of the run that the tables do not have.
    """
    query_rows = rows_of(run["query"].drop_duplicates(), pd.Index(queries["id"]), source, "query")
    passage_rows = rows_of(run["passage"], pd.Index(passages["id"]), source, "passage")
    texts, ids = passages["text"].to_numpy(), passages["id"].to_numpy()
    members = run.groupby("query", sort=False).indices
    for (query, lines), query_row in zip(members.items(), query_rows, strict=True):
        rows = passage_rows[lines]
        similarity = passage_vectors[rows] @ query_vectors[query_row]
        first_stage = run["score"].to_numpy()[lines]
        mixed = weight * _scaled(similarity) + (1 - weight) * _scaled(first_stage)
        yield TaughtQuery(
            query=str(query),
            text=str(queries["text"].iloc[query_row]),
            candidates=list(zip(ids[rows], texts[rows], strict=True)),
            scores=mixed.tolist(),
            order=[int(place) + 1 for place in np.argsort(-mixed, kind="stable")],
        )


def _scaled(scores: Floats) -> Floats:
    """Min-max scaling to [0, 1]; all zero where every score is the same."""
    spread = scores.max() - scores.min()
    return (scores - scores.min()) / spread if spread > 0 else np.zeros_like(scores)
