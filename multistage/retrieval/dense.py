"""Dense retrieval: a bi-encoder's vectors, and exact search by inner product.

TAS-B (Hofstätter et al., SIGIR 2021) takes the first token's vector, Contriever (Izacard et al., TMLR 2022) the mean of all
tokens' vectors; neither scales them to unit length.
"""

from pathlib import Path

import torch

from multistage.retrieval.encoding import Find, Found, read_vectors

# Passages and queries that are scored at once: 200 MB of scores.
PASSAGES_AT_ONCE, QUERIES_AT_ONCE = 100_000, 500


def exact_search(vectors: str | Path, device: str) -> Find:
    """Search of the passages whose vectors are in a file: the largest inner products, in single precision.

    Of passages that tie with the last one found, any may be left out.
    """
    from sentence_transformers.util import dot_score, semantic_search

    passages = read_vectors(vectors)[0].to(device)

    def find(queries: list[torch.Tensor], depth: int) -> list[Found]:
        given = torch.stack(queries).to(device)
        hits = semantic_search(given, passages, QUERIES_AT_ONCE, PASSAGES_AT_ONCE, depth, dot_score)
        return [
            (torch.tensor([hit["corpus_id"] for hit in best]), torch.tensor([hit["score"] for hit in best])) for best in hits
        ]

    return find
