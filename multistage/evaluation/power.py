"""How many seeds and queries a question needs: the smallest difference that would be found, from the variances that were seen.

The variances are those of the model in `inference`, estimated from its mean squares and averaged over all that is compared.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from multistage.config.recipes import FIRST_STAGE, FUSED, TEACHER, UNTRAINED
from multistage.evaluation.comparison import by_system
from multistage.evaluation.inference import Values, satterthwaite, seed_variances

POWER, DRAWS = 0.8, 20_000
# What is asked: is a recipe better than another, or than its first stage?
RECIPES, ALONE = "between two recipes", "between a recipe and its first stage"
Pairs = list[tuple[Values, Values]]
SEEDS, QUERIES = (2, 3, 5, 10), (50, 100, 200, 500, 1000, 2000, 5000)


class Variances(NamedTuple):
    """query: of a query's difference between two systems; error: what else a value of one model varies by; seed: between the
    means of a recipe's models over all queries there could be. With one seed, seed is nan and query holds error as well."""

    query: float
    error: float
    seed: float


def questions(table: pd.DataFrame, measure: str) -> dict[str, Pairs]:
    """The systems that are compared, each (seeds, queries), by question; none on one query. table: of `evaluate_runs`."""
    systems = by_system(table, measure)
    trained = [key for key in systems if key[-1] not in (FIRST_STAGE, TEACHER, UNTRAINED) and not key[-1].endswith(FUSED)]
    recipes = [(systems[a], systems[b]) for a, b in combinations(trained, 2) if a[:2] == b[:2]]
    alone = [(systems[key], systems[key[0], "", FIRST_STAGE]) for key in trained if (key[0], "", FIRST_STAGE) in systems]
    several = table["query"].nunique() > 1
    return {question: found for question, found in ((RECIPES, recipes), (ALONE, alone)) if found and several}


def variances(pairs: Pairs) -> Variances:
    """The variances behind the differences of pairs, averaged. Estimates below zero count there; an average below is none."""
    query, error, seed = [], [], []
    for a, b in pairs:
        parts = [(side, *seed_variances(side)) for side in (a, b)]
        query.append((a.mean(0) - b.mean(0)).var(ddof=1) - sum(noise * side.shape[1] for side, _, noise in parts))
        error += [noise * side.size for side, _, noise in parts if len(side) > 1]
        seed += [(between - noise) * len(side) for side, between, noise in parts if len(side) > 1]
    if not seed:
        return Variances(float(np.mean(query)), 0.0, np.nan)
    return Variances(*(max(float(np.mean(part)), 0.0) for part in (query, error, seed)))


def smallest_difference(seen: Variances, *, sides: int, seeds: int, queries: int, level: float) -> float:
    """The difference that the test of `inference.difference` finds, two-sided at the level, with the power POWER.

    sides: how many of the two systems are trained, each with so many seeds. With one seed it is between these models.
    The mean squares of DRAWS experiments are drawn (in this model they are independent, each chi-squared): the formula of a
    t-test's power takes degrees of freedom as known, and promises 80% where two seeds find 68%.
    """
    generator = np.random.default_rng(0)

    def mean_square(expected: float, freedom: float) -> Values:
        return expected * generator.chisquare(freedom, DRAWS) / freedom

    noise = seen.error / (seeds * queries)
    by_query, between = seen.query / queries + sides * noise, noise + (seen.seed / seeds if seeds > 1 else 0.0)
    parts, freedoms = [mean_square(by_query, queries - 1.0)], [queries - 1.0]
    for _ in range(sides if seeds > 1 else 0):
        freedoms += [seeds - 1.0, (seeds - 1.0) * (queries - 1.0)]
        drawn = [mean_square(expected, freedom) for expected, freedom in zip((between, noise), freedoms[-2:], strict=True)]
        counts = drawn[0] > drawn[1]
        parts += [counts * drawn[0], counts * -drawn[1]]
    error, freedom = satterthwaite(parts, freedoms)
    luck = generator.normal(0.0, np.sqrt(by_query + sides * (between - noise)), DRAWS)
    return float(np.quantile(stats.t.isf(level / 2, freedom) * error - luck, POWER))
