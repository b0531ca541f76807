"""Late interaction (ColBERT) with a PLAID index, through sentence-transformers and fast-plaid.

Khattab & Zaharia, "ColBERT" (SIGIR 2020): score(q, p) = sum over query tokens of the largest inner product with a
passage token (MaxSim). Santhanam et al., "PLAID" (CIKM 2022): the index that finds the best of it approximately.
"""

import string
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import torch

from multistage.data.runs import RUN
from multistage.jobs.files import readable, replacing
from multistage.jobs.log import Rate
from multistage.retrieval.encoding import AT_ONCE, in_batches, plain_encoder, read_vectors, set_precision, write_vectors

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder


def load_encoder(checkpoint: str | Path, max_length: int, device: str, *, precision: str = "auto") -> "MultiVectorEncoder":
    """A late-interaction encoder: a trained ColBERT checkpoint as it is, a plain encoder with its own token vectors.

    max_length: tokens that are read of a passage. precision: auto, float32 or bfloat16.
    """
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
    from sentence_transformers.sentence_transformer.modules import Normalize

    trained = any(Path(checkpoint, name).is_file() for name in ("modules.json", "artifact.metadata"))
    if trained:
        encoder = MultiVectorEncoder(str(checkpoint), device=device, local_files_only=True)
        encoder.max_seq_length = max_length
    else:
        # As in ColBERT, punctuation of a passage matches nothing.
        modules: list[torch.nn.Module] = [
            plain_encoder(checkpoint, max_length),
            MultiVectorMask(skiplist_words=list(string.punctuation)),
            Normalize("token_embeddings"),
        ]
        encoder = MultiVectorEncoder(modules=modules, device=device)
    set_precision(encoder, precision)
    return encoder


def encode_passages(
    encoder: "MultiVectorEncoder",
    texts: Iterable[list[str]],
    total: int,
    output: str | Path,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write the token vectors of all passages, in lists of any size (see `encoding.write_vectors`). total: how many."""

    def encode(batch: list[str]) -> tuple[torch.Tensor, list[int]]:
        matrices = encoder.encode_document(batch, batch_size=64, show_progress_bar=False)
        return torch.cat([torch.as_tensor(matrix) for matrix in matrices]), [len(matrix) for matrix in matrices]

    write_vectors(output, map(encode, in_batches(texts, total)), dtype)


def read_token_vectors(path: str | Path) -> list[torch.Tensor]:
    """The token vectors of each passage, (tokens, width) float16, which stay in the file until they are used."""
    vectors, lengths = read_vectors(path)
    return list(vectors.split(lengths))


def build_plaid(
    vectors: list[torch.Tensor], output: str | Path, *, nbits: int, kmeans_passages: int | None, device: str, seed: int = 0
) -> None:
    """Build a PLAID index into the folder `output`.

    vectors: each passage's token vectors, (tokens, width). nbits: bits of each dimension's residual. kmeans_passages:
    how many passages' tokens are clustered; there are at most as many clusters as such tokens. None: PLAID's own choice.
    Memory: the vectors that are clustered, of PLAID's own choice those of 16 sqrt(120 n) passages (3 GB in half precision for a
    million of them), and of 25,000 passages at a time in single precision (0.8 GB measured at 60 tokens, width 128). The others
    stay in their file. The index is byte for byte that of the same vectors in single precision.
    """
    from fast_plaid.search import FastPlaid

    torch.manual_seed(seed)
    with replacing(output) as (partial,):
        FastPlaid(index=str(partial), device=device).create(
            documents_embeddings=vectors,
            nbits=nbits,
            n_samples_kmeans=kmeans_passages,
            seed=seed,
            # Of a small collection PLAID would keep the vectors too, pickled, to build the index anew when passages are added.
            start_from_scratch=0,
        )


def search(
    index: str | Path,
    encoder: "MultiVectorEncoder",
    queries: pl.DataFrame,
    passage_ids: pl.Series,
    *,
    depth: int,
    full_scores: int,
    device: str,
) -> Iterator[pl.DataFrame]:
    """The `depth` best passages of every query (id, text): runs of some queries each (query, passage, score).

    passage_ids: id of each passage, by its row in the index. full_scores: passages of a query that are scored in full.
    """
    from fast_plaid.search import FastPlaid

    with readable(index):
        plaid = FastPlaid(index=str(index), device=device)
    depth = min(depth, len(passage_ids))
    rate = Rate(len(queries), "queries")
    for batch in queries.iter_slices(AT_ONCE):
        encoded = [torch.as_tensor(matrix).cpu().float() for matrix in encode_queries(encoder, batch["text"].to_list())]
        hits = plaid.search(encoded, top_k=depth, n_full_scores=full_scores, show_progress=False)
        found = [(query, row, score) for query, best in zip(batch["id"], hits, strict=True) for row, score in best]
        run = pl.DataFrame(found, schema={**RUN, "passage": pl.Int64}, orient="row")
        yield run.with_columns(passage=passage_ids.gather(run["passage"]))
        rate.advance(len(batch))


def encode_queries(encoder: "MultiVectorEncoder", texts: list[str]) -> list[torch.Tensor]:
    """The token vectors of each query, (tokens, width) float32."""
    return list(encoder.encode_query(texts, batch_size=64, show_progress_bar=False))
