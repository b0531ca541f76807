"""The fixed small re-ranking set that fine-tuning is watched on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from multistage.jobs.files import replacing


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
