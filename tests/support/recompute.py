"""The statistics of an experiment, computed again from its values per query, one at a time.

    python tests/support/recompute.py results/wikipedia

says how far the tables of the experiment are from that. It shares no code with the workflow; the settings are the default
config's. Permutations are drawn from the same random numbers.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from scipy import stats
from statsmodels.stats.multitest import multipletests

SYSTEM = ["retriever", "backbone", "recipe"]
DIFFERENCE = ["difference", "effect", "low", "high", "p", "p_equivalence", "p_randomization"]
DEFAULT = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text())["evaluation"]


def values_of(table, key, measure):
    """(seeds, queries), queries in the order of the file."""
    rows = table[(table[SYSTEM] == list(key)).all(axis=1)]
    return rows.pivot(index="seed", columns="query", values=measure)[table["query"].unique()].to_numpy()


def spread_of_means(values):
    """The variance of a system's mean that its seeds add to that of queries, with what Satterthwaite's formula needs."""
    seeds, queries = values.shape
    if seeds == 1:
        return 0, []
    between = np.var([np.mean(row) for row in values], ddof=1) / seeds
    error = 0.0
    for seed in range(seeds):
        for query in range(queries):
            error += (values[seed, query] - values[seed].mean() - values[:, query].mean() + values.mean()) ** 2
    within = error / ((seeds - 1) * (queries - 1)) / (seeds * queries)
    if between < within:
        return 0, []
    return between - within, [(between, seeds - 1), (within, (seeds - 1) * (queries - 1))]


def t_test(a, b, margin):
    """The first of DIFFERENCE."""
    by_query = np.mean(a, axis=0) - np.mean(b, axis=0)
    queries, sd = len(by_query), np.std(by_query, ddof=1)
    parts = [spread_of_means(a), spread_of_means(b)]
    variance = sd**2 / queries + sum(part for part, _ in parts)
    terms = [(sd**2 / queries, queries - 1), *parts[0][1], *parts[1][1]]
    mean, error = by_query.mean(), variance**0.5
    if not variance:
        return mean, 0, mean, mean, float(mean == 0), float(abs(mean) >= margin)
    df = variance**2 / sum(part**2 / own for part, own in terms)
    lower, upper = stats.t.sf((mean + margin) / error, df), stats.t.cdf((mean - margin) / error, df)
    interval = stats.t.interval(0.95, df, mean, error)
    return mean, mean / sd, *interval, 2 * stats.t.cdf(-abs(mean / error), df), max(lower, upper)


def randomization(by_query, permutations, seed):
    """Fisher's test: how often signs given at random move the sum as far from zero."""
    generator, extreme = np.random.default_rng(seed), 1
    observed = abs(np.sum(by_query))
    for start in range(0, permutations, 500):
        rows = min(500, permutations - start)
        swapped = generator.integers(0, 2, size=(rows, len(by_query)), dtype=np.int8)
        extreme += int((abs(np.where(swapped, by_query, -by_query).sum(axis=1)) >= observed - 1e-9).sum())
    return extreme / (permutations + 1)


def recompute(benchmark, values, means, differences, settings):
    """The largest difference between what the two tables say of a benchmark and what is computed here; every row must agree."""
    means, differences = (table[table["benchmark"] == benchmark] for table in (means, differences))
    systems = values[SYSTEM].drop_duplicates().astype(str).to_numpy().tolist()
    keys = [(measure, *key) for measure in means["measure"].unique() for key in systems]
    data = {key: values_of(values, key[1:], key[0]) for key in keys}

    def of_mean(row):
        key = tuple(row[["measure", *SYSTEM]])
        mean, _, low, high, *_ = t_test(data[key], 0 * data[key][:1], 1)
        seed_sd = np.std(data[key].mean(1), ddof=1) if len(data[key]) > 1 else np.nan
        return {"mean": mean, "low": max(low, 0), "high": min(high, 1), "seed_sd": seed_sd}

    def of_difference(row):
        key = tuple(row[["measure", *SYSTEM]])
        other = (*key[:2], "" if row["against"] == "first-stage" else key[2], row["against"])
        swapped = randomization(data[key].mean(0) - data[other].mean(0), settings["permutations"], settings["seed"])
        found = [*t_test(data[key], data[other], settings["margin"]), swapped]
        return dict(zip(DIFFERENCE, found, strict=True))

    again = means.apply(of_mean, axis=1, result_type="expand"), differences.apply(of_difference, axis=1, result_type="expand")
    family = again[1].groupby([differences["measure"], differences["against"]])
    for name in ("p", "p_equivalence", "p_randomization"):
        again[1][f"{name}_holm"] = family[name].transform(lambda p: multipletests(p, method="holm")[1])
    for verdict, row in zip(differences["verdict"], again[1].to_dict("records"), strict=True):
        significant, on_par = row["p_holm"] < 0.05, row["p_equivalence_holm"] < 0.05
        word = ("better" if row["difference"] > 0 else "worse") + (", by less than the margin" if on_par else "")
        assert verdict == (word if significant else "equivalent" if on_par else "undecided")
    gaps = pd.concat(
        [(mine - table[mine.columns]).abs().stack() for mine, table in zip(again, (means, differences), strict=True)]
    )
    return gaps.max(), len(gaps)


def recompute_experiment(folder, settings):
    """The same over all benchmarks of an experiment's folder: the largest difference, and how many numbers were compared."""
    tables = [
        pd.read_csv(folder / "tables" / f"{name}.csv", keep_default_na=False) for name in ("effectiveness", "comparisons")
    ]
    tables[0]["seed_sd"] = pd.to_numeric(tables[0]["seed_sd"])
    found = [
        recompute(path.stem, pd.read_parquet(path).astype({name: str for name in [*SYSTEM, "seed"]}), *tables, settings)
        for path in sorted((folder / "evaluation").glob("*.parquet"))
    ]
    return max(gap for gap, _ in found), sum(count for _, count in found)


if __name__ == "__main__":
    gap, count = recompute_experiment(Path(sys.argv[1]), DEFAULT)
    print(f"{count} numbers; the largest difference is {gap:.1e}")
