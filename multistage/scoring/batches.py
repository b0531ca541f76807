"""Batches by token budget: pairs sorted by length, so that almost nothing is padding."""

import numpy as np

from multistage.data.tokens import Ints


def by_token_budget(lengths: Ints, budget: int) -> list[Ints]:
    """Split pairs into batches of at most `budget` tokens, padding included, the longest first.

    lengths: (pairs,) tokens of each pair. budget: tokens a batch may hold; a pair longer than that gets its own batch.
    Returns index arrays that together hold every pair once. Ties keep their order, so the split is deterministic.
    """
    order = np.argsort(-lengths, kind="stable")
    batches: list[Ints] = []
    start = 0
    while start < len(order):
        size = max(1, budget // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + size])
        start += size
    return batches
