"""The fixed small re-ranking set that fine-tuning is watched on."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from jobs.files import replacing

from .scoring import score_pairs
from .tokens import Pairs

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class ValidationSettings:
    """How training uses the set. share: of a stage's compute, at most. export: best or last, the weights of the model."""

    share: float
    export: str


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

    def ndcg(self, model: "PreTrainedModel", pairs: Pairs, tokens_per_batch: int) -> float:
        """Mean nDCG@10 (linear gain) of the model's order of each query's candidates, against their ideal order."""
        from sklearn.metrics import ndcg_score  # takes a second to import, which jobs that only score do without

        line, column = np.nonzero(self.passages >= 0)
        scores = np.full(self.passages.shape, np.finfo(np.float32).min, dtype=np.float32)
        scores[line, column] = score_pairs(model, pairs, self.queries[line], self.passages[line, column], tokens_per_batch)
        return float(ndcg_score(self.grades, scores, k=10, ignore_ties=True))
