"""Tests of differences against scipy, statsmodels and simulation; randomization against scipy and all permutations."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.weightstats import ttost_paired

from multistage.config.evaluation import Evaluation
from multistage.evaluation.inference import difference, randomization_tests, verdict

SETTINGS = Evaluation(permutations=20_000, seed=3)
MARGIN = 0.05


def simulated(generator, seeds, effect, seed_sd, queries=80, trained=2):
    """Two systems on the same queries, of which so many are trained, whose difference is `effect` in the mean over all queries
    and all seeds there could be."""
    query, systems = generator.normal(0.5, 0.3, queries), []
    for number, shift in enumerate((effect, 0.0)):
        means = shift + query + generator.normal(0, 0.15, (1, queries))
        noise = generator.normal(0, seed_sd, (seeds, 1)) + generator.normal(0, 0.1, (seeds, queries))
        systems.append(means + noise if number < trained else means)
    return systems


def shares(seeds, effect, seed_sd, times=600, queries=80):
    """How often, at the level 0.05, a difference is found, equivalence is found, and a t-test over queries finds a
    difference."""
    generator = np.random.default_rng(11)
    found = []
    for _ in range(times):
        a, b = simulated(generator, seeds, effect, seed_sd, queries)
        own = difference(a, b)
        found.append([own.p, own.p_equivalence(MARGIN), stats.ttest_rel(a.mean(0), b.mean(0)).pvalue])
    return (np.array(found) < 0.05).mean(0)


def test_with_one_seed_it_is_the_paired_t_test():
    a, b = simulated(np.random.default_rng(0), 1, 0.02, 0.0)
    found, expected = difference(a, b), stats.ttest_rel(a[0], b[0])
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.interval(0.95) == pytest.approx(tuple(expected.confidence_interval(0.95)), rel=1e-9)
    assert found.p_equivalence(MARGIN) == pytest.approx(ttost_paired(a[0], b[0], -MARGIN, MARGIN)[0], rel=1e-9)
    assert found.effect == pytest.approx((a - b).mean() / (a - b).std(ddof=1))


@pytest.mark.parametrize("seeds", [1, 3])
def test_one_query_shows_nothing(seeds):
    found = difference(np.full((seeds, 1), 1.0), np.arange(seeds)[:, None] / 9)
    assert found.mean > 0.8 and found.interval(0.95) == (-np.inf, np.inf)
    assert verdict(found.mean, found.p, found.p_equivalence(MARGIN), 0.05) == "undecided"


def test_with_several_seeds_it_is_the_quasi_f_test():
    """From the mean squares of statsmodels' analysis of variance (Clark 1973; Judd, Westfall & Kenny 2017)."""
    seeds, queries = 4, 9
    a, b = simulated(np.random.default_rng(2), seeds, 0.1, 0.2, queries)
    rows = [
        {"value": values[seed, query], "recipe": name, "seed": str(seed), "query": str(query)}
        for name, values in (("a", a), ("b", b))
        for seed in range(seeds)
        for query in range(queries)
    ]
    model = ols("value ~ C(recipe) + C(query) + C(recipe):C(query) + C(recipe):C(seed)", pd.DataFrame(rows)).fit()
    table = anova_lm(model)
    square = table["sum_sq"] / table["df"]
    seed, query, error = square["C(recipe):C(seed)"], square["C(recipe):C(query)"], square["Residual"]
    found = difference(a, b)
    assert found.error**2 == pytest.approx(2 / (seeds * queries) * (seed + query - error))
    assert found.mean == pytest.approx(a.mean() - b.mean())
    assert found.freedom < 2 * (seeds - 1) + queries


def test_under_the_null_it_finds_a_difference_as_often_as_it_says():
    for seeds, seed_sd in ((1, 0.0), (3, 0.0), (3, 0.05), (5, 0.02)):
        own, *_ = shares(seeds, 0.0, seed_sd)
        assert 0.02 < own < 0.08, (seeds, seed_sd, own)
    assert shares(3, 0.0, 0.05)[2] > 0.2, "a t-test that averages seeds away finds differences that are chance"


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_interval_of_a_mean_holds_the_truth_as_often_as_it_says(seeds):
    """Seeds add as much to the variance of the mean as queries do: the bootstrap over both holds it 84 to 92% of the time."""
    generator, held = np.random.default_rng(7), 0
    for _ in range(1000):
        values = generator.normal(0, 0.3, 100) + generator.normal(0, 0.03 * seeds**0.5, (seeds, 1))
        low, high = difference(values + generator.normal(0, 0.1, (seeds, 100)), np.zeros((1, 100))).interval(0.95)
        held += low <= 0 <= high
    assert 930 <= held <= 990


def test_equivalence_is_rejected_outside_the_margin_and_found_inside():
    assert shares(3, MARGIN, 0.01)[1] < 0.08
    assert shares(3, 1.5 * MARGIN, 0.01)[1] < 0.02
    assert shares(1, MARGIN, 0.0)[1] < 0.08
    inside = [shares(3, effect, 0.0, times=300, queries=300)[1] for effect in (0.04, 0.02, 0.0)]
    assert inside == sorted(inside) and inside[-1] > 0.9


def test_systems_that_never_differ_are_equivalent():
    a = np.random.default_rng(0).random((1, 20))
    found = difference(a, a.copy())
    assert (found.p, found.p_equivalence(MARGIN), found.effect, found.interval(0.95)) == (1.0, 0.0, 0.0, (0.0, 0.0))


@pytest.mark.parametrize(
    ("mean", "p", "equivalence", "expected"),
    [
        (0.1, 0.01, 0.9, "better"),
        (-0.1, 0.01, 0.9, "worse"),
        (0.001, 0.01, 0.01, "better, by less than the margin"),
        (0.001, 0.5, 0.01, "equivalent"),
        (0.01, 0.5, 0.5, "undecided"),
    ],
)
def test_not_different_is_not_on_par(mean, p, equivalence, expected):
    assert verdict(mean, p, equivalence, alpha=0.05) == expected


def test_the_randomization_test_is_that_of_all_permutations():
    generator = np.random.default_rng(4)
    differences = np.stack([generator.normal(shift, 1, 11) for shift in (0.0, 0.5, 1.0)])
    differences[:, 3] = 0
    found = randomization_tests(differences, SETTINGS)
    scipys = [
        stats.permutation_test((row,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue for row in differences
    ]
    assert found == pytest.approx(scipys, abs=0.012)
    assert randomization_tests(np.zeros((1, 9)), SETTINGS) == [1.0]
