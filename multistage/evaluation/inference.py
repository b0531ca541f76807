"""The mean of a system and the difference between two: their error over queries and seeds, and what follows from it.

A recipe is trained with several seeds, and every model answers every query: seeds are nested in recipes and crossed with
queries. Both are samples, of queries that might be asked and of models that the recipe might have given, so both make the
difference uncertain. This is the mixed model value = recipe + query + recipe x query + seed(recipe) + error with all but the
recipe random, estimated from mean squares: the quasi-F test for items crossed with participants nested in conditions (Clark,
"The language-as-fixed-effect fallacy", J. Verbal Learning and Verbal Behavior 12, 1973; Judd, Westfall & Kenny, "Experiments
with more than one random factor", Annual Review of Psychology 68, 2017), with Satterthwaite's degrees of freedom (Biometrics
Bulletin 2, 1946), each side with a variance of its own, as in Welch's test. With one seed a side it is the paired t-test over
queries, which says something about these two models and nothing about training them again.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from multistage.config.evaluation import Evaluation

Values = npt.NDArray[np.float64]
# Permutations that are in memory together.
AT_ONCE = 500


class Difference(NamedTuple):
    """mean: of a's values less b's. error: its standard error. freedom: degrees of freedom of t = mean / error. effect: mean
    over the standard deviation of queries' differences (Cohen's d_z). No query differs: error 0, freedom inf, effect 0. One
    query, which says nothing of others: error inf, freedom 1, effect 0."""

    mean: float
    error: float
    freedom: float
    effect: float

    @property
    def p(self) -> float:
        """Two-sided p-value of the t-test of no difference."""
        if not self.error:
            return 1.0 if not self.mean else 0.0
        return float(2 * stats.t.sf(abs(self.mean) / self.error, self.freedom))

    def p_equivalence(self, margin: float) -> float:
        """p-value of two one-sided t-tests that the difference lies outside +-margin (Schuirmann, J. Pharmacokinetics and
        Biopharmaceutics 15, 1987): the larger of the two."""
        if not self.error:
            return 0.0 if abs(self.mean) < margin else 1.0
        return float(stats.t.sf((margin - abs(self.mean)) / self.error, self.freedom))

    def interval(self, confidence: float) -> tuple[float, float]:
        """The t-interval that goes with `p`."""
        reach = self.error * float(stats.t.ppf((1 + confidence) / 2, self.freedom)) if self.error else 0.0
        return self.mean - reach, self.mean + reach


def difference(a: Values, b: Values) -> Difference:
    """Compare two systems on the same queries. a, b: (seeds, queries), a seed for a system that is not trained."""
    by_query = a.mean(0) - b.mean(0)
    queries, mean = by_query.size, float(by_query.mean())
    if queries == 1:
        return Difference(mean, np.inf, 1.0, 0.0)
    spread = float(by_query.std(ddof=1))
    variances, freedoms = [spread**2 / queries], [queries - 1.0]
    for side in (a, b):
        between, noise = seed_variances(side)
        # What seeds add beyond the error that the queries' term holds already; a negative estimate counts as none.
        if between > noise:
            seeds = len(side)
            variances += [between, -noise]
            freedoms += [seeds - 1.0, (seeds - 1.0) * (queries - 1.0)]
    if not sum(variances):
        return Difference(mean, 0.0, np.inf, 0.0)
    error, freedom = satterthwaite(variances, freedoms)
    return Difference(mean, float(error), float(freedom), mean / spread if spread else 0.0)


def satterthwaite(variances: Sequence[Values | float], freedoms: Sequence[float]) -> tuple[Values, Values]:
    """The standard error that independent parts of a variance make together, and its degrees of freedom (Biometrics Bulletin 2,
    1946): of one experiment, or of many, as arrays."""
    variance = np.asarray(sum(variances))
    return np.sqrt(variance), variance**2 / sum(np.square(part) / own for part, own in zip(variances, freedoms, strict=True))


def seed_variances(values: Values) -> tuple[float, float]:
    """Of a mean over seeds and queries: the variance as seen between seeds, and the part of it that is error within them."""
    seeds, queries = values.shape
    if seeds == 1:
        return 0.0, 0.0
    means = values.mean(1)
    residual = values - means[:, None] - values.mean(0) + values.mean()
    error = float((residual**2).sum()) / ((seeds - 1) * (queries - 1))
    return float(means.var(ddof=1)) / seeds, error / (seeds * queries)


def verdict(mean: float, p: float, p_equivalence: float, alpha: float) -> str:
    """What the adjusted tests of difference and of equivalence say together.

    better, worse: a difference. equivalent: none that reaches the margin. Both may hold: "better, by less than the margin".
    undecided: neither, which does not show that two systems are on par.
    """
    if p >= alpha:
        return "equivalent" if p_equivalence < alpha else "undecided"
    direction = "better" if mean > 0 else "worse"
    return f"{direction}, by less than the margin" if p_equivalence < alpha else direction


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
