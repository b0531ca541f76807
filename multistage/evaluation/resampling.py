"""Bootstrap intervals and Fisher's randomization test of many systems at once.

Every system sees the same resamples, so resampling is a product of matrices: with thousands of queries and hundreds of
comparisons a library's test by test would take an hour where this takes seconds. The tests hold both to scipy's.
"""

import numpy as np
import numpy.typing as npt

from multistage.config import Evaluation

Values = npt.NDArray[np.float64]
# Resamples that are in memory together.
AT_ONCE = 500


class Bootstrap:
    """Resampled means of systems on the same queries: (Efron & Tibshirani 1993, ch. 13).

    Of a system with several seeds, seeds are drawn as well as queries, the two independently (the pigeonhole bootstrap: Owen,
    Annals of Applied Statistics 1, 2007).
    """

    def __init__(self, systems: list[Values], settings: Evaluation) -> None:
        """systems: each (seeds, queries)."""
        self.settings = settings
        generator = np.random.default_rng(settings.seed)
        stacked = np.concatenate(systems)
        queries = stacked.shape[1]
        means = np.empty((settings.resamples, len(stacked)))
        for start in range(0, settings.resamples, AT_ONCE):
            rows = min(AT_ONCE, settings.resamples - start)
            counts = generator.multinomial(queries, np.full(queries, 1 / queries), size=rows)
            means[start : start + rows] = counts @ stacked.T / queries
        self.means, first = [], 0
        for system in systems:
            seeds = len(system)
            drawn = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=settings.resamples) / seeds
            self.means.append((means[:, first : first + seeds] * drawn).sum(1))
            first += seeds

    def interval(self, a: int, b: int | None = None) -> tuple[float, float]:
        """The percentile interval of system a's mean, or of a's less b's; both by their places in the list."""
        means = self.means[a] if b is None else self.means[a] - self.means[b]
        tail = (1 - self.settings.confidence) / 2
        low, high = np.quantile(means, [tail, 1 - tail])
        return float(low), float(high)


def randomization_tests(differences: Values, settings: Evaluation) -> Values:
    """Two-sided p-values of Fisher's paired randomization test (Smucker, Allan & Carterette, CIKM 2007), (comparisons,).

    differences: (comparisons, queries), of systems' means over seeds: what it says holds for these models, over queries. Each
    permutation swaps the two systems at random queries; the observed one is counted among them (Phipson & Smyth 2010).
    """
    generator = np.random.default_rng(settings.seed)
    observed = np.abs(differences.sum(1))
    # Sums that are equal but for rounding count as equal.
    threshold = observed - 1e-9 * np.abs(differences).sum(1)
    as_extreme = np.zeros(len(differences), dtype=np.int64)
    for start in range(0, settings.permutations, AT_ONCE):
        rows = min(AT_ONCE, settings.permutations - start)
        signs = 2.0 * generator.integers(0, 2, size=(rows, differences.shape[1]), dtype=np.int8) - 1.0
        as_extreme += (np.abs(signs @ differences.T) >= threshold).sum(0)
    return (as_extreme + 1) / (settings.permutations + 1)
