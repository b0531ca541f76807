"""The statistics of an experiment, computed again from its values per query, one at a time.

    python tests/support/recompute.py results/wikipedia

says how far the tables of the experiment are from that. It shares no code with the workflow; the settings are the default
config's. Resampling uses the same random numbers.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from scipy import stats

SYSTEM = ["retriever", "backbone", "recipe"]
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
    """Mean, effect, 95% interval, p, p of equivalence."""
    by_query = np.mean(a, axis=0) - np.mean(b, axis=0)
    queries, sd = len(by_query), np.std(by_query, ddof=1)
    parts = [spread_of_means(a), spread_of_means(b)]
    variance = sd**2 / queries + sum(part for part, _ in parts)
    terms = [(sd**2 / queries, queries - 1), *parts[0][1], *parts[1][1]]
    if not variance:
        return by_query.mean(), 0, (0, 0), 1, 0
    df = variance**2 / sum(part**2 / own for part, own in terms)
    mean, error = by_query.mean(), variance**0.5
    lower, upper = stats.t.sf((mean + margin) / error, df), stats.t.cdf((mean - margin) / error, df)
    interval = stats.t.interval(0.95, df, mean, error)
    return mean, mean / sd, interval, 2 * stats.t.cdf(-abs(mean / error), df), max(lower, upper)


def bootstrap_means(systems, resamples, seed):
    """Resampled means of every system, drawn as the workflow draws: queries for all, then seeds for each."""
    generator = np.random.default_rng(seed)
    queries = systems[0].shape[1]
    counts = np.concatenate(
        [
            generator.multinomial(queries, np.full(queries, 1 / queries), size=min(500, resamples - start))
            for start in range(0, resamples, 500)
        ]
    )
    means = []
    for values in systems:
        seeds = len(values)
        drawn = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples)
        means.append(np.einsum("rs,sq,rq->r", drawn / seeds, values, counts / queries, optimize=True))
    return np.array(means)


def randomization(by_query, permutations, seed):
    """Fisher's test: how often signs given at random move the sum as far from zero."""
    generator, extreme = np.random.default_rng(seed), 1
    observed = abs(np.sum(by_query))
    for start in range(0, permutations, 500):
        rows = min(500, permutations - start)
        swapped = generator.integers(0, 2, size=(rows, len(by_query)), dtype=np.int8)
        extreme += int((abs(np.where(swapped, by_query, -by_query).sum(axis=1)) >= observed - 1e-9).sum())
    return extreme / (permutations + 1)


def holm(p):
    order, adjusted, largest = np.argsort(p), np.empty(len(p)), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, p[index] * (len(p) - place)))
        adjusted[index] = largest
    return adjusted


def recompute(benchmark, values, means, differences, settings):
    """The largest difference between what the two tables say of a benchmark and what is computed here; every row must agree."""
    systems = [tuple(map(str, key)) for key in values[SYSTEM].drop_duplicates().itertuples(index=False, name=None)]
    means, differences = means[means["benchmark"] == benchmark], differences[differences["benchmark"] == benchmark]
    tests, gaps = [], []
    names = [(measure, key) for measure in means["measure"].unique() for key in systems]
    every = [values_of(values, key, measure) for measure, key in names]
    resampled = dict(zip(names, bootstrap_means(every, settings["resamples"], settings["seed"]), strict=True))
    for measure in means["measure"].unique():
        data = {key: own for (name, key), own in zip(names, every, strict=True) if name == measure}
        drawn = {key: resampled[measure, key] for key in systems}
        for row in means[means["measure"] == measure].to_dict("records"):
            key = tuple(str(row[name]) for name in SYSTEM)
            low, high = np.percentile(drawn[key], [2.5, 97.5])
            gaps += [row["mean"] - data[key].mean(), row["low"] - low, row["high"] - high]
            if len(data[key]) > 1:
                gaps.append(row["seed_sd"] - np.std(data[key].mean(1), ddof=1))
        for row in differences[differences["measure"] == measure].to_dict("records"):
            key = tuple(str(row[name]) for name in SYSTEM)
            other = (key[0], "" if row["against"] == "first-stage" else key[1], row["against"])
            mean, effect, interval, p, equivalence = t_test(data[key], data[other], settings["margin"])
            low, high = np.percentile(drawn[key] - drawn[other], [2.5, 97.5])
            swapped = randomization(data[key].mean(0) - data[other].mean(0), settings["permutations"], settings["seed"])
            columns = ["difference", "effect", "low", "high", "bootstrap_low", "bootstrap_high", "p", "p_equivalence"]
            own = [mean, effect, *interval, low, high, p, equivalence, swapped]
            gaps += [row[name] - value for name, value in zip([*columns, "p_randomization"], own, strict=True)]
            tests.append((row, p, equivalence, swapped))
    for measure, against in {(test[0]["measure"], test[0]["against"]) for test in tests}:
        own = [test for test in tests if (test[0]["measure"], test[0]["against"]) == (measure, against)]
        for place, name in enumerate(["p", "p_equivalence", "p_randomization"]):
            adjusted = holm(np.array([test[1 + place] for test in own]))
            gaps += [test[0][f"{name}_holm"] - value for test, value in zip(own, adjusted, strict=True)]
    for row, *_ in tests:
        significant, on_par = row["p_holm"] < 0.05, row["p_equivalence_holm"] < 0.05
        word = ("better" if row["difference"] > 0 else "worse") + (", by less than the margin" if on_par else "")
        assert row["verdict"] == (word if significant else "equivalent" if on_par else "undecided")
    return max(map(abs, gaps)), len(gaps)


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
