"""The fixed small re-ranking set that fine-tuning is watched on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from safetensors.numpy import load_file, save_file

from multistage.data.groups import PAIR, padded
from multistage.jobs.files import replacing


@dataclass(frozen=True)
class ValidationSet:
    """Candidates of a few held-out queries with their grades.

    queries: (queries,) int32 rows. passages: (queries, depth) int32 rows, -1 padded. grades: (queries, depth) int16.
    """

    queries: npt.NDArray[np.int32]
    passages: npt.NDArray[np.int32]
    grades: npt.NDArray[np.int16]

    @property
    def pairs(self) -> int:
        """How many candidates there are."""
        return int((self.passages >= 0).sum())

    def write(self, path: str | Path) -> None:
        """Write the matrices as safetensors."""
        with replacing(path) as (partial,):
            save_file(vars(self), partial)

    @classmethod
    def read(cls, path: str | Path) -> "ValidationSet":
        """Read what `write` wrote."""
        return cls(**load_file(path))


def validation_set(
    run: pl.DataFrame, qrels: pl.DataFrame, queries: pl.Series, passages: pl.Series, limit: int
) -> ValidationSet:
    """The candidates and grades of the first `limit` queries of a run, -1 and 0 where a query has fewer than others.

    run: (query row, passage row, score), in run order. qrels: (query id, passage id, grade). queries, passages: ids by row.
    """
    sizes = run.group_by("query", maintain_order=True).len().head(limit)
    run = run.join(sizes, on="query", how="semi")
    ids = pl.DataFrame({"query": queries.gather(run["query"]), "passage": passages.gather(run["passage"])})
    grades = ids.join(qrels, on=PAIR, how="left", maintain_order="left")["grade"].fill_null(0).clip(0)
    each = sizes["len"].to_numpy()
    return ValidationSet(
        queries=sizes["query"].to_numpy(),
        passages=padded(run["passage"].to_numpy(), each, -1),
        grades=padded(grades.cast(pl.Int16).to_numpy(), each, 0),
    )
