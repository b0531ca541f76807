"""Late interaction (ColBERT) with a PLAID index, through fast-plaid.

Khattab & Zaharia, "ColBERT" (SIGIR 2020): score(q, p) = sum over query tokens of the largest inner product with a
passage token (MaxSim). Santhanam et al., "PLAID" (CIKM 2022): the index that finds the best of it approximately.
"""

from pathlib import Path

import torch

from multistage.jobs.files import readable, replacing
from multistage.retrieval.encoding import Find, Found, read_vectors


def build_plaid(vectors: str | Path, output: str | Path, *, nbits: int, kmeans_passages: int | None, device: str) -> None:
    """Build a PLAID index into the folder `output`.

    nbits: bits of each dimension's residual. kmeans_passages: how many passages' tokens are clustered; None: 16 sqrt(120 n),
    PLAID's own choice. Memory: the vectors that are clustered (3 GB for a million passages), and those of 25,000 passages at a
    time in single precision (0.8 GB measured at 60 tokens, width 128).
    """
    from fast_plaid.search import FastPlaid

    tokens, lengths = read_vectors(vectors)
    torch.manual_seed(0)
    with replacing(output) as (partial,):
        FastPlaid(index=str(partial), device=device).create(
            documents_embeddings=list(tokens.split(lengths)),
            nbits=nbits,
            n_samples_kmeans=kmeans_passages,
            seed=0,
            # Of a small collection PLAID would keep the vectors too, pickled, to build the index anew when passages are added.
            start_from_scratch=0,
        )


def plaid_search(index: str | Path, device: str, full_scores: int) -> Find:
    """Search with a PLAID index. full_scores: passages of a query that are scored in full."""
    from fast_plaid.search import FastPlaid

    plaid = FastPlaid(index=str(index), device=device)

    def find(queries: list[torch.Tensor], depth: int) -> list[Found]:
        with readable(index):  # which is opened now
            hits = plaid.search(queries, top_k=depth, n_full_scores=full_scores, show_progress=False)
        return [(torch.tensor([row for row, _ in best]).long(), torch.tensor([score for _, score in best])) for best in hits]

    return find
