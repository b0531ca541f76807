"""What late interaction and dense retrieval share: a plain encoder, and files of vectors."""

import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from multistage.jobs.errors import InputError
from multistage.jobs.files import readable, replacing
from multistage.jobs.log import Rate
from multistage.model.precision import resolve, use_bfloat16

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Transformer

# Texts that are encoded together.
AT_ONCE = 1_000


def plain_encoder(checkpoint: str | Path, max_length: int) -> "Transformer":
    """The encoder in a local folder, reading `max_length` tokens of a text, without anything after its last layer."""
    from sentence_transformers.sentence_transformer.modules import Transformer

    options = {"local_files_only": True}
    return Transformer(
        str(checkpoint), max_seq_length=max_length, model_kwargs=options, processor_kwargs=options, config_kwargs=options
    )


def set_precision(encoder: "SentenceTransformer | MultiVectorEncoder", precision: str) -> None:
    """Let the model of an encoder compute in `precision`: auto, float32 or bfloat16 (see `multistage.model.precision`)."""
    model: Any = encoder[0].auto_model
    if resolve(precision, model, training=False) == "bfloat16":
        use_bfloat16(model, training=False)


def in_batches(texts: Iterable[list[str]], total: int) -> Iterator[list[str]]:
    """The texts, AT_ONCE at a time however they come: what is encoded together decides the last digits of a vector.

    total: how many there are, for the progress in the log.
    """
    rate, left = Rate(total, "texts"), chain.from_iterable(texts)
    while batch := list(islice(left, AT_ONCE)):
        yield batch
        rate.advance(len(batch))


def write_vectors(
    path: str | Path, batches: Iterable[tuple[torch.Tensor, list[int]]], dtype: torch.dtype = torch.float16
) -> None:
    """Write `vectors` (rows, width) and `lengths` (passages,) int32, how many rows each passage has.

    batches: vectors (rows, width) of any float type, and the lengths of their passages. They wait in a file without a name
    beside `path`, so that no more than a batch lies in memory; it takes the disk space of the vectors once more until they are
    written. dtype: float16 or float32. Raises InputError for a number that is not finite in it.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    lengths: list[int] = []
    with tempfile.TemporaryFile(dir=Path(path).parent) as waiting:
        for vectors, counts in batches:
            rows = vectors.cpu().to(dtype)
            if not rows.isfinite().all():
                raise InputError(f"{path}: the checkpoint's vectors hold numbers that {dtype} cannot.")
            waiting.write(rows.numpy().tobytes())
            lengths.extend(counts)
        waiting.flush()
        stored = np.memmap(waiting, rows.numpy().dtype, mode="r+", shape=(sum(lengths), rows.shape[1]))
        with replacing(path) as (partial,):
            save_file({"vectors": torch.from_numpy(stored), "lengths": torch.tensor(lengths, dtype=torch.int32)}, partial)


def read_vectors(path: str | Path) -> tuple[torch.Tensor, list[int]]:
    """What `write_vectors` wrote: vectors (rows, width), which stay in the file until they are used, and lengths.

    Raises InputError for a damaged file.
    """
    with readable(path):
        stored = load_file(path)
        vectors, lengths = stored["vectors"], stored["lengths"]
        if not vectors.is_floating_point() or vectors.ndim != 2 or lengths.dtype != torch.int32 or lengths.ndim != 1:
            raise ValueError(f"it holds {tuple(vectors.shape)} {vectors.dtype} and {tuple(lengths.shape)} {lengths.dtype}")
        if (lengths < 0).any() or int(lengths.sum()) != len(vectors):
            raise ValueError(f"it holds {len(vectors)} vectors, and the passages have {int(lengths.sum())}")
        return vectors, lengths.tolist()
