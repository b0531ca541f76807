"""Files of vectors: written as they are computed, read as they are used, so that no more than a batch lies in memory."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing


def write_vectors(path: str | Path, batches: Iterable[tuple[torch.Tensor, list[int]]]) -> None:
    """Write `vectors` (rows, width) float16 and `lengths` (passages,) int32, how many rows each passage has.

    batches: vectors (rows, width) of any float type, and the lengths of their passages. They wait in a file without a name
    beside `path`, which takes the disk space of the vectors once more until they are written.
    Raises InputError for a number that is not finite in half precision.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    lengths: list[int] = []
    width = 0
    with tempfile.TemporaryFile(dir=Path(path).parent) as waiting:
        for vectors, counts in batches:
            half = vectors.cpu().half()
            if not half.isfinite().all():
                raise InputError(f"{path}: the checkpoint's vectors hold numbers that half precision (float16) cannot.")
            waiting.write(half.numpy().tobytes())
            width = half.shape[1]
            lengths.extend(counts)
        waiting.flush()
        rows = torch.from_numpy(np.memmap(waiting, dtype=np.float16, mode="r+", shape=(sum(lengths), width)))
        with replacing(path) as (partial,):
            save_file({"vectors": rows, "lengths": torch.tensor(lengths, dtype=torch.int32)}, partial)


def read_vectors(path: str | Path) -> tuple[torch.Tensor, list[int]]:
    """What `write_vectors` wrote: vectors (rows, width) float16, which stay in the file until they are used, and lengths."""
    stored = load_file(path)
    return stored["vectors"], stored["lengths"].tolist()
