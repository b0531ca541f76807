"""Dense retrieval: a bi-encoder's vectors, and exact search by inner product.

TAS-B (Hofstätter et al., SIGIR 2021) takes the first token's vector, Contriever (Izacard et al., TMLR 2022) the mean of all
tokens' vectors; neither scales them to unit length.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from multistage.data.runs import cut, in_run_order
from multistage.jobs.errors import InputError
from multistage.jobs.log import Rate
from multistage.retrieval.encoding import AT_ONCE, in_batches, plain_encoder, read_vectors, set_precision, write_vectors

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# Passages and queries that are scored at once: 200 MB of scores.
PASSAGES_AT_ONCE, QUERIES_AT_ONCE = 100_000, 500
# Passages that are searched beyond the depth, at least, so that seldom more of them could belong to the best.
BEYOND = 64
Found = tuple[torch.Tensor, torch.Tensor]


def load_encoder(
    checkpoint: str | Path, max_length: int, device: str, pooling: str | None = None, *, precision: str = "auto"
) -> "SentenceTransformer":
    """A bi-encoder from a local folder, reading `max_length` tokens of a text.

    A sentence-transformers checkpoint (with modules.json) is taken as it is, a plain encoder with `pooling`, cls or mean.
    precision: auto, float32 or bfloat16.
    Raises InputError when a checkpoint says itself how it pools, and it is not `pooling`.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    if pooling is None or Path(checkpoint, "modules.json").is_file():
        encoder = SentenceTransformer(str(checkpoint), device=device, local_files_only=True)
        own = [module.pooling_mode for module in encoder if isinstance(module, Pooling)]
        if pooling is not None and own != [pooling]:
            raise InputError(f"{checkpoint}: modules.json pools by {own[0] if own else 'nothing'}, the config by {pooling}.")
        encoder.max_seq_length = max_length
    else:
        transformer = plain_encoder(checkpoint, max_length)
        encoder = SentenceTransformer(
            modules=[transformer, Pooling(transformer.get_embedding_dimension(), pooling_mode=pooling)], device=device
        )
    set_precision(encoder, precision)
    return encoder


def encode_passages(
    encoder: "SentenceTransformer",
    texts: Iterable[list[str]],
    total: int,
    output: str | Path,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a vector of each passage, in lists of any size (see `encoding.write_vectors`). total: how many."""

    def encode(batch: list[str]) -> tuple[torch.Tensor, list[int]]:
        return torch.from_numpy(encoder.encode_document(batch, batch_size=64, show_progress_bar=False)), [1] * len(batch)

    write_vectors(output, map(encode, in_batches(texts, total)), dtype)


def encode_queries(encoder: "SentenceTransformer", texts: list[str]) -> npt.NDArray[np.float32]:
    """The vector of each query, (queries, width)."""
    batches = in_batches([texts], len(texts))
    return np.concatenate([encoder.encode_query(batch, batch_size=64, show_progress_bar=False) for batch in batches])


def search(
    vectors: str | Path,
    encoder: "SentenceTransformer",
    queries: pl.DataFrame,
    passage_ids: pl.Series,
    *,
    depth: int,
    device: str,
) -> Iterator[pl.DataFrame]:
    """The `depth` best passages of every query (id, text): runs of some queries each (query, passage, score).

    passage_ids: id of each passage, by its row in the file `vectors`.
    """
    passages = read_vectors(vectors)[0].to(device)
    if len(passages) != len(passage_ids):
        raise InputError(
            f"{vectors}: holds {len(passages)} passages, and their table {len(passage_ids)}. Delete it to have it made again."
        )
    rate = Rate(len(queries), "queries")
    for batch in queries.iter_slices(AT_ONCE):
        encoded = torch.from_numpy(encode_queries(encoder, batch["text"].to_list())).to(device)
        found = largest_products(encoded, passages, depth)
        query = batch["id"].gather(np.repeat(np.arange(len(batch)), [len(rows) for rows, _ in found]))
        rows, scores = (torch.cat(parts).cpu().numpy() for parts in zip(*found, strict=True))
        run = pl.DataFrame({"query": query, "passage": passage_ids.gather(rows), "score": scores})
        yield cut(in_run_order(run), depth)
        rate.advance(len(batch))


def largest_products(queries: torch.Tensor, passages: torch.Tensor, depth: int) -> list[Found]:
    """For every query the rows of the passages with the `depth` largest inner products, and these, float32.

    queries: (queries, width) float32. passages: (passages, width) float16, on the same device.
    Exact, so that it does not matter how a collection is divided: products are summed in double precision and rounded once, and
    passages that tie with the last are all there, in no order. A matrix product in single precision finds the candidates; its
    error is at most width * 2^-24 * |q| * |p| (Higham, "Accuracy and Stability of Numerical Algorithms", eq. 3.5; twice that is
    taken). Where candidates within that error of the last one may have been missed, the query is searched deeper.
    """
    from sentence_transformers.util import dot_score, semantic_search

    longest = torch.linalg.vector_norm(passages, dim=1, dtype=torch.float32).max()
    errors = passages.shape[1] * 2.0**-23 * longest * torch.linalg.vector_norm(queries, dim=1)
    depth = min(depth, len(passages))
    found: dict[int, Found] = {}
    searched = min(depth + BEYOND, len(passages))
    while len(found) < len(queries):
        left = [query for query in range(len(queries)) if query not in found]
        hits = semantic_search(queries[left], passages, QUERIES_AT_ONCE, PASSAGES_AT_ONCE, searched, dot_score)
        for query, candidates in zip(left, hits, strict=True):
            rows = torch.tensor([hit["corpus_id"] for hit in candidates], device=passages.device)
            products = (passages[rows].double() * queries[query].double()).sum(dim=1).float()
            last = products.topk(depth).values[-1]
            if searched == len(passages) or last > candidates[-1]["score"] + errors[query]:
                found[query] = rows[products >= last], products[products >= last]
        searched = min(2 * searched, len(passages))
    return [found[query] for query in range(len(queries))]
