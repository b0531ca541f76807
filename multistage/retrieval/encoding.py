"""What late interaction and dense retrieval share: a collection's parts, encoders, vectors in files, search batch by batch."""

import json
import string
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from multistage.data.runs import cut, in_run_order
from multistage.data.tables import count_texts, read_ids
from multistage.jobs.errors import InputError, because
from multistage.jobs.files import readable, replacing
from multistage.jobs.log import Rate, logger
from multistage.model.precision import compute_in
from multistage.model.weights import LOCAL, load_weights, read_config, require_positions

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer

# Texts that are encoded together.
AT_ONCE = 1_000
# The rows of a query's best passages and their scores, in any order; what finds them, given queries' vectors and a depth.
Found = tuple[torch.Tensor, torch.Tensor]
Find = Callable[[list[torch.Tensor], int], list[Found]]


def shard_rows(count: int, shard: int, shards: int) -> tuple[int, int]:
    """The rows of a part, counted from 0, of a table: from start up to stop. Raises InputError for more parts than rows."""
    if shards > count:
        raise InputError(f"config: {shards} shards are too many for a collection of {count} passages; each needs one at least.")
    return count * shard // shards, count * (shard + 1) // shards


def shard_ids(passages: str | Path, shard: int, shards: int) -> pl.Series:
    """The ids of the passages in a part of a passages table, by row of the part."""
    start, stop = shard_rows(count_texts(passages), shard, shards)
    return read_ids(passages, start, stop - start)


def load_encoder(
    checkpoint: str | Path, *, kind: str, max_length: int, device: str, precision: str = "auto", pooling: str | None = None
) -> "SentenceTransformer | MultiVectorEncoder":
    """An encoder from a local folder, reading `max_length` tokens of a text: colbert gives a vector of each token, others one.

    pooling: cls or mean, for a checkpoint that is not trained as such. Raises InputError when weights are missing or damaged,
    and when a checkpoint says itself that it pools in another way.
    """
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    late = kind == "colbert"
    make: Any = MultiVectorEncoder if late else SentenceTransformer
    modules = Path(checkpoint, "modules.json")
    try:
        folder = Path(checkpoint, json.loads(modules.read_text(encoding="utf-8"))[0]["path"] if modules.is_file() else "")
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"{modules}: not a list of an encoder's modules{because(error)}") from error
    # Loaded once more, by what refuses weights that the library would fill in.
    require_positions(load_weights(AutoModel, folder, read_config(folder), complete=False), max_length)
    trained = any(Path(checkpoint, name).is_file() for name in ("modules.json", "artifact.metadata"))
    try:
        if trained or not (late or pooling):
            encoder = make(str(checkpoint), device=device, **LOCAL)
        else:
            options = [f"{what}_kwargs" for what in ("model", "processor", "config")]
            transformer = Transformer(str(checkpoint), max_seq_length=max_length, **{name: dict(LOCAL) for name in options})
            # As in ColBERT, punctuation of a passage matches nothing.
            tokens = [MultiVectorMask(skiplist_words=list(string.punctuation)), Normalize("token_embeddings")]
            after = tokens if late else [Pooling(transformer.get_embedding_dimension(), pooling_mode=pooling)]
            encoder = make(modules=[transformer, *after], device=device)
        encoder.encode_query("a")  # modules that do not fit each other
    except Exception as error:  # whatever the files make the library stumble over
        raise InputError(f"{checkpoint}: the encoder cannot be loaded{because(error)}") from error
    own = [module.pooling_mode for module in encoder if isinstance(module, Pooling)]
    if pooling and own != [pooling]:
        raise InputError(f"{checkpoint}: modules.json pools by {own[0] if own else 'nothing'}, the config by {pooling}.")
    encoder.max_seq_length = max_length
    compute_in(precision, encoder[0].auto_model, training=False)
    return encoder


def encode_passages(
    encoder: Any, texts: Iterable[list[str]], *, total: int, output: str | Path, dtype: torch.dtype = torch.float16
) -> None:
    """Write the vectors of each of `total` passages (see `write_vectors`), and log how many are read in part."""
    cut = 0

    def count_cut(_: torch.nn.Module, inputs: Any) -> None:
        nonlocal cut
        cut += sum(bool(encoding.overflowing) for encoding in inputs[0].encodings)

    def encode(batch: list[str]) -> tuple[torch.Tensor, list[int]]:
        found = encoder.encode_document(batch, batch_size=64, show_progress_bar=False)
        matrices = [torch.atleast_2d(torch.as_tensor(vectors)) for vectors in found]
        return torch.cat(matrices), [len(matrix) for matrix in matrices]

    with encoder[0].register_forward_pre_hook(count_cut):
        write_vectors(output, map(encode, in_batches(texts, total)), dtype)
    if cut:
        share = f"{cut:,} of {total:,} passages ({cut / total:.1%})"
        logger.warning(f"{share} are read in part by the encoder: they are cut at max_length {encoder.max_seq_length}")


def encode_queries(encoder: Any, texts: list[str]) -> list[torch.Tensor]:
    """The vectors of each query on the CPU, float32: (tokens, width) of late interaction, else (width,)."""
    batches = in_batches([texts], len(texts))
    found = chain.from_iterable(encoder.encode_query(batch, batch_size=64, show_progress_bar=False) for batch in batches)
    return [torch.as_tensor(vectors).cpu().float() for vectors in found]


def search(find: Find, encoder: Any, queries: pl.DataFrame, passage_ids: pl.Series, *, depth: int) -> Iterator[pl.DataFrame]:
    """The `depth` best passages of every query (id, text): runs of some queries each (query, passage, score).

    passage_ids: id of each passage, by the row that `find` gives.
    """
    rate = Rate(len(queries), "queries")
    for batch in queries.iter_slices(AT_ONCE):
        found = find(encode_queries(encoder, batch["text"].to_list()), min(depth, len(passage_ids)))
        query = batch["id"].gather(np.repeat(np.arange(len(batch)), [len(rows) for rows, _ in found]))
        rows, scores = (torch.cat(parts).cpu().numpy() for parts in zip(*found, strict=True))
        run = pl.DataFrame({"query": query, "passage": passage_ids.gather(rows), "score": scores})
        yield cut(in_run_order(run), depth)
        rate.advance(len(batch))


def in_batches(texts: Iterable[list[str]], total: int) -> Iterator[list[str]]:
    """The texts, `total` in all, AT_ONCE at a time: what is encoded together decides the last digits of a vector."""
    rate, left = Rate(total, "texts"), chain.from_iterable(texts)
    while batch := list(islice(left, AT_ONCE)):
        yield batch
        rate.advance(len(batch))


def write_vectors(
    path: str | Path, batches: Iterable[tuple[torch.Tensor, list[int]]], dtype: torch.dtype = torch.float16
) -> None:
    """Write `vectors` (rows, width) and `lengths` (passages,) int32, how many rows each passage has.

    batches: vectors (rows, width) of any float type, and the lengths of their passages. They wait in a file without a name
    beside `path`, so that no more than a batch lies in memory. Raises InputError for a number that is not finite in `dtype`.
    """
    lengths: list[int] = []
    with replacing(path) as (partial,), tempfile.TemporaryFile(dir=partial.parent) as waiting:
        for vectors, counts in batches:
            rows = vectors.cpu().to(dtype)
            if not rows.isfinite().all():
                raise InputError(f"{path}: the checkpoint's vectors hold numbers that {dtype} cannot.")
            waiting.write(rows.numpy().tobytes())
            lengths.extend(counts)
        waiting.flush()
        stored = np.memmap(waiting, rows.numpy().dtype, mode="r+", shape=(sum(lengths), rows.shape[1]))
        save_file({"vectors": torch.from_numpy(stored), "lengths": torch.tensor(lengths, dtype=torch.int32)}, partial)


def read_vectors(path: str | Path) -> tuple[torch.Tensor, list[int]]:
    """What `write_vectors` wrote: vectors (rows, width), which stay in the file until they are used, and lengths."""
    with readable(path):
        stored = load_file(path)
        vectors, lengths = stored["vectors"], stored["lengths"]
        if not vectors.is_floating_point() or vectors.ndim != 2 or lengths.dtype != torch.int32 or lengths.ndim != 1:
            raise ValueError(f"it holds {tuple(vectors.shape)} {vectors.dtype} and {tuple(lengths.shape)} {lengths.dtype}")
        if (lengths < 0).any() or int(lengths.sum()) != len(vectors):
            raise ValueError(f"it holds {len(vectors)} vectors, and the passages have {int(lengths.sum())}")
        return vectors, lengths.tolist()
