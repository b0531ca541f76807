"""Late interaction (ColBERT) with a PLAID index, through sentence-transformers and fast-plaid.

Khattab & Zaharia, "ColBERT" (SIGIR 2020): score(q, p) = sum over query tokens of the largest inner product with a
passage token (MaxSim). Santhanam et al., "PLAID" (CIKM 2022): the index that finds the best of it approximately.
"""

import string
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from crossencoder.cpu import speed_up_on_cpu
from jobs.files import replacing
from jobs.log import Rate

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder

AT_ONCE = 1_000


def load_encoder(checkpoint: str | Path, max_length: int, device: str) -> "MultiVectorEncoder":
    """A late-interaction encoder: a trained ColBERT checkpoint as it is, a plain encoder with its own token vectors.

    max_length: tokens that are read of a passage.
    """
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
    from sentence_transformers.sentence_transformer.modules import Normalize, Transformer

    trained = any(Path(checkpoint, name).is_file() for name in ("modules.json", "artifact.metadata"))
    if trained:
        encoder = MultiVectorEncoder(str(checkpoint), device=device, local_files_only=True)
        encoder.max_seq_length = max_length
        speed_up_on_cpu(encoder)
        return encoder
    options = {"local_files_only": True}
    transformer = Transformer(
        str(checkpoint), max_seq_length=max_length, model_kwargs=options, processor_kwargs=options, config_kwargs=options
    )
    # As in ColBERT, punctuation of a passage matches nothing.
    modules = [transformer, MultiVectorMask(skiplist_words=list(string.punctuation)), Normalize("token_embeddings")]
    encoder = MultiVectorEncoder(modules=modules, device=device)
    speed_up_on_cpu(encoder)
    return encoder


def encode_passages(encoder: "MultiVectorEncoder", texts: list[str], output: str | Path) -> None:
    """Write the token vectors of all passages: `vectors` (tokens, width) float16 and `lengths` (passages,) int32."""
    vectors: list[torch.Tensor] = []
    rate = Rate(len(texts), "passages")
    for start in range(0, len(texts), AT_ONCE):
        batch = texts[start : start + AT_ONCE]
        encoded = encoder.encode_document(batch, batch_size=64, show_progress_bar=False)
        vectors.extend(torch.as_tensor(matrix).cpu().half() for matrix in encoded)
        rate.advance(len(batch))
    lengths = torch.tensor([len(matrix) for matrix in vectors], dtype=torch.int32)
    with replacing(output) as (partial,):
        save_file({"vectors": torch.cat(vectors), "lengths": lengths}, partial)


def read_vectors(path: str | Path) -> list[torch.Tensor]:
    """The token vectors of each passage, (tokens, width) float32."""
    stored = load_file(path)
    return list(stored["vectors"].float().split(stored["lengths"].tolist()))


def build_plaid(
    vectors: list[torch.Tensor], nbits: int, kmeans_passages: int | None, seed: int, device: str, output: str | Path
) -> None:
    """Build a PLAID index into the folder `output`.

    vectors: each passage's token vectors, (tokens, width). nbits: bits of each dimension's residual. kmeans_passages:
    how many passages' tokens are clustered; there are at most as many clusters as such tokens. None: PLAID's own choice.
    """
    from fast_plaid.search import FastPlaid

    torch.manual_seed(seed)
    with replacing(output) as (partial,):
        FastPlaid(index=str(partial), device=device).create(
            documents_embeddings=vectors, nbits=nbits, n_samples_kmeans=kmeans_passages, seed=seed
        )


def search_plaid(
    index: str | Path,
    encoder: "MultiVectorEncoder",
    queries: pd.DataFrame,
    passage_ids: npt.NDArray[np.object_],
    depth: int,
    full_scores: int,
    device: str,
) -> pd.DataFrame:
    """The `depth` best passages of every query (id, text): a run with columns query, passage, score.

    passage_ids: id of each passage, by its row in the index. full_scores: passages of a query that are scored in full.
    """
    from fast_plaid.search import FastPlaid

    plaid = FastPlaid(index=str(index), device=device)
    depth = min(depth, len(passage_ids))
    rate = Rate(len(queries), "queries")
    found: list[pd.DataFrame] = []
    for start in range(0, len(queries), AT_ONCE):
        batch = queries.iloc[start : start + AT_ONCE]
        encoded = [torch.as_tensor(matrix).cpu().float() for matrix in encode_queries(encoder, batch["text"].tolist())]
        for query, hits in zip(
            batch["id"], plaid.search(encoded, top_k=depth, n_full_scores=full_scores, show_progress=False), strict=True
        ):
            rows, scores = zip(*hits, strict=True)
            found.append(pd.DataFrame({"query": query, "passage": passage_ids[list(rows)], "score": scores}))
        rate.advance(len(batch))
    return pd.concat(found, ignore_index=True)


def encode_queries(encoder: "MultiVectorEncoder", texts: list[str]) -> list[torch.Tensor]:
    """The token vectors of each query, (tokens, width) float32."""
    return list(encoder.encode_query(texts, batch_size=64, show_progress_bar=False))
