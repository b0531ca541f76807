"""Groups written out by their grades."""

import numpy as np

from multistage.data.sampling import Groups
from multistage.data.tokens import padded


def groups_from(grades: list[list[int]], taught: bool = False, passages: list[list[int]] | None = None) -> Groups:
    """Groups of queries 0, 1, …, whose passages are 0, 1, … unless given; the teacher ranks all but the last as they stand."""
    sizes = np.array([len(of_query) for of_query in grades])

    def matrix(values, dtype, nothing):
        return padded(np.concatenate([np.array(of_query, dtype=dtype) for of_query in values]), sizes, nothing)

    ranks = [[*range(1, size), 0] for size in sizes]
    scores = [[1 / rank if rank else np.nan for rank in of_query] for of_query in ranks]
    return Groups(
        queries=np.arange(len(grades), dtype=np.int32),
        passages=matrix(passages or [range(size) for size in sizes], np.int32, -1),
        grades=matrix(grades, np.int16, -1),
        ranks=matrix(ranks, np.int16, 0) if taught else None,
        scores=matrix(scores, np.float32, np.nan) if taught else None,
    )
