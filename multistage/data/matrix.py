"""Candidate matrices: the passages that a run gives each query, as store rows, for any number of queries."""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import save_file

from multistage.jobs.files import replacing

if TYPE_CHECKING:
    from multistage.data.streaming import Block

Matrix = npt.NDArray[np.int32]


def candidate_matrix(blocks: Iterable["Block"], queries: int, depth: int) -> Matrix:
    """Passage rows of each query in run order, (queries, depth) int32, -1 where there are no more.

    blocks: whole queries, each cut at `depth` or before.
    """
    matrix = np.full((queries, depth), -1, dtype=np.int32)
    for block in blocks:
        bounds = [*np.flatnonzero(np.diff(block.queries, prepend=-1)).tolist(), len(block.queries)]
        for start, end in pairwise(bounds):
            matrix[block.queries[start], : end - start] = block.passages[start:end]
    return matrix


def write_matrix(path: str | Path, matrix: Matrix) -> None:
    """Write a candidate matrix as safetensors, without a copy in memory."""
    with replacing(path) as (partial,):
        save_file({"passages": matrix}, partial)


def read_matrix(path: str | Path) -> Matrix:
    """Map what `write_matrix` wrote into memory."""
    with safe_open(path, framework="pt") as file:  # maps tensors, where framework="numpy" reads them
        return file.get_tensor("passages").numpy()
