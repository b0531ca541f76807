"""Dense retrieval: a bi-encoder's vectors, and exact search by inner product.

TAS-B (Hofstätter et al., SIGIR 2021) takes the first token's vector, Contriever (Izacard et al., TMLR 2022) the mean of all
tokens' vectors; neither scales them to unit length.
"""

from pathlib import Path

import torch

from multistage.retrieval.encoding import Find, Found, read_vectors

# Passages and queries that are scored at once: 200 MB of scores.
PASSAGES_AT_ONCE, QUERIES_AT_ONCE = 100_000, 500
# Passages that are searched beyond the depth, at least, so that seldom more of them could belong to the best.
BEYOND = 64


def exact_search(vectors: str | Path, device: str) -> Find:
    """Search of the passages whose vectors are in a file, see `largest_products`."""
    passages = read_vectors(vectors)[0].to(device)
    return lambda queries, depth: largest_products(torch.stack(queries).to(device), passages, depth)


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
