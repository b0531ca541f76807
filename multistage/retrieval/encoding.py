"""What late interaction and dense retrieval share: a plain encoder, and passages that become a file of vectors."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from multistage.jobs.log import Rate
from multistage.retrieval.shards import in_batches
from multistage.retrieval.vectors import write_vectors

if TYPE_CHECKING:
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


def write_encoded(
    output: str | Path,
    texts: Iterable[list[str]],
    total: int,
    encode: Callable[[list[str]], tuple[torch.Tensor, list[int]]],
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write the vectors of all passages (see `vectors.write_vectors`). Memory: the model and a batch.

    texts: the passages in order, in lists of any size. total: how many there are. encode: from some of them to their vectors
    (rows, width), and how many rows each has. dtype: of the file.
    """
    rate = Rate(total, "passages")

    def encoded() -> Iterator[tuple[torch.Tensor, list[int]]]:
        for batch in in_batches(texts, AT_ONCE):
            yield encode(batch)
            rate.advance(len(batch))

    write_vectors(output, encoded(), dtype)
