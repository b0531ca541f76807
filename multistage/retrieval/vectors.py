"""Files of vectors: written as they are computed, read as they are used, so that no more than a batch lies in memory."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing


def write_vectors(path: str | Path, batches: Iterable[tuple[torch.Tensor, list[int]]], dtype: torch.dtype) -> None:
    """Write `vectors` (rows, width) and `lengths` (passages,) int32, how many rows each passage has.

    batches: vectors (rows, width) of any float type, and the lengths of their passages. They wait in a file without a name
    beside `path`, which takes the disk space of the vectors once more until they are written. dtype: float16 or float32.
    Raises InputError for a number that is not finite in it.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    lengths: list[int] = []
    width = 0
    with tempfile.TemporaryFile(dir=Path(path).parent) as waiting:
        for vectors, counts in batches:
            rows = vectors.cpu().to(dtype)
            if not rows.isfinite().all():
                raise InputError(f"{path}: the checkpoint's vectors hold numbers that {dtype} cannot.")
            waiting.write(rows.numpy().tobytes())
            width = rows.shape[1]
            lengths.extend(counts)
        waiting.flush()
        stored = np.float16 if dtype == torch.float16 else np.float32
        rows = torch.from_numpy(np.memmap(waiting, dtype=stored, mode="r+", shape=(sum(lengths), width)))
        with replacing(path) as (partial,):
            save_file({"vectors": rows, "lengths": torch.tensor(lengths, dtype=torch.int32)}, partial)


def read_vectors(path: str | Path) -> tuple[torch.Tensor, list[int]]:
    """What `write_vectors` wrote: vectors (rows, width), which stay in the file until they are used, and lengths."""
    stored = load_file(path)
    return stored["vectors"], stored["lengths"].tolist()
