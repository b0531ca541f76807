"""The smallest difference that is found: against statsmodels' power of the t-test, and against simulated experiments."""

import re

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.power import TTestPower
from test_inference import simulated

from multistage.evaluation.inference import difference
from multistage.evaluation.power import POWER, Variances, questions, smallest_difference, variances

SEEN = Variances(query=2 * 0.15**2, error=0.1**2, seed=0.02**2)


def experiment_of(generator, seeds, queries, effect=0.0, sides=2):
    """Two systems with the variances of SEEN, of which so many are trained."""
    return simulated(generator, seeds, effect, SEEN.seed**0.5, queries, trained=sides)


@pytest.mark.parametrize("queries", [20, 200])
@pytest.mark.parametrize("level", [0.05, 0.005])
def test_with_one_seed_it_is_the_power_of_the_paired_t_test(queries, level):
    seen = Variances(query=0.2**2, error=0.0, seed=np.nan)
    found = smallest_difference(seen, sides=2, seeds=1, queries=queries, level=level)
    assert TTestPower().power(found / 0.2, queries, level) == pytest.approx(POWER, abs=5e-3)


@pytest.mark.parametrize(("seeds", "queries", "sides"), [(2, 200, 2), (3, 100, 2), (3, 500, 1), (5, 1000, 2)])
def test_experiments_of_that_size_find_it_as_often(seeds, queries, sides):
    generator = np.random.default_rng(3)
    effect = smallest_difference(SEEN, sides=sides, seeds=seeds, queries=queries, level=0.05)
    found = [difference(*experiment_of(generator, seeds, queries, effect, sides)).p < 0.05 for _ in range(1000)]
    assert np.mean(found) == pytest.approx(POWER, abs=0.05)


@pytest.mark.parametrize("sides", [1, 2])
def test_variances_are_those_that_made_the_values(sides):
    generator = np.random.default_rng(4)
    found = variances([experiment_of(generator, 4, 300, sides=sides) for _ in range(1000)])
    assert found == pytest.approx(SEEN, rel=0.1)
    one = variances([experiment_of(generator, 1, 300, sides=sides) for _ in range(200)])
    assert np.isnan(one.seed) and one.query == pytest.approx(SEEN.query + sides * SEEN.error, rel=0.1)


def experiment(seeds):
    """An experiment's values: a first stage, and two recipes with so many seeds."""
    generator, parts = np.random.default_rng(5), []
    values = experiment_of(generator, seeds, 100)
    systems = {"first-stage": values[0][:1] - 0.1, "cl": values[0], "kd": values[1], "untrained": 9 * values[1]}
    for recipe, rows in systems.items():
        for seed, row in enumerate(rows):
            backbone, seed = ("", "") if recipe == "first-stage" else ("tiny", str(seed))
            system = {"retriever": "bm25", "backbone": backbone, "recipe": recipe, "seed": seed}
            parts.append(pd.DataFrame({**system, "query": [f"q{number}" for number in range(100)], "AP": row}))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("seeds", [1, 3])
def test_an_experiment_is_asked_by_its_folder(tmp_path, multistage, seeds):
    (tmp_path / "evaluation").mkdir()
    experiment(seeds).to_parquet(tmp_path / "evaluation" / "test.parquet")
    printed = multistage("power", tmp_path)
    assert printed.count("### test, AP: between ") == 2
    assert printed.count("| One seed |") == printed.count("says nothing about recipes") == 2 * (seeds == 1)
    assert printed.count("| 2 seeds | 3 seeds | 5 seeds | 10 seeds |") == 2 * (seeds == 3)
    line = [float(cell) for cell in re.search(r"^\| 200 \|(.*) \|$", printed, re.M)[1].split(" | ")]
    assert line == sorted(line, reverse=True)
    assert questions(experiment(seeds).query("query == 'q0'"), "AP") == {}, "one query says nothing of others"
    if seeds == 1:
        pair = questions(experiment(1), "AP")["between two recipes"][0]
        assert line == [pytest.approx(2.82 * (pair[0] - pair[1]).std(ddof=1) / 200**0.5, abs=2e-3)]
