"""How often intervals hold the truth, and tests find what is not there.  python -m benchmarks.coverage

Simulated experiments: values = query + recipe x query + seed + error, all normal, with standard deviations of .35, .15, and .1
for the error, about the demo's. Intervals of a mean, at 95%: ours (the t-interval of `evaluation.inference`) and the
percentile interval of the pigeonhole bootstrap (Owen 2007), 500 resamples. Differences of two equal recipes with one seed each:
how often the paired t-test over queries, at 5%, finds one.
"""

import argparse

import numpy as np
import numpy.typing as npt

from multistage.evaluation.inference import difference

Values = npt.NDArray[np.float64]
QUERY_SD, RECIPE_SD, ERROR_SD = 0.35, 0.15, 0.1


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=1000, help="simulated experiments behind each number")
    times = parser.parse_args().times
    generator = np.random.default_rng(0)
    print("coverage of a mean's 95% interval: queries, seed sd, seeds: t-interval, bootstrap")
    for queries in (50, 200, 1000):
        for seed_sd in (0.01, 0.03):
            for seeds in (2, 3, 5):
                held = [covers(generator, seeds, queries, seed_sd) for _ in range(times)]
                own, bootstrap = np.mean(held, axis=0)
                print(f"{queries:5} {seed_sd:.2f} {seeds}: {own:.3f} {bootstrap:.3f}", flush=True)
    print("differences found between equal recipes, one seed each: queries, seed sd: share")
    for queries in (50, 200, 1000, 7000):
        for seed_sd in (0.0, 0.005, 0.01):
            nothing = np.zeros((1, queries))
            found = [difference(one_less_another(generator, queries, seed_sd), nothing).p < 0.05 for _ in range(times)]
            print(f"{queries:5} {seed_sd:.3f}: {np.mean(found):.3f}", flush=True)


def covers(generator: np.random.Generator, seeds: int, queries: int, seed_sd: float) -> tuple[bool, bool]:
    """Whether either interval holds the true mean, 0, in one experiment."""
    values = generator.normal(0, np.hypot(QUERY_SD, RECIPE_SD), queries) + generator.normal(0, ERROR_SD, (seeds, queries))
    values += generator.normal(0, seed_sd, (seeds, 1))
    intervals = difference(values, np.zeros((1, queries))).interval(0.95), bootstrap_interval(generator, values)
    own, bootstrap = (bool(low <= 0 <= high) for low, high in intervals)
    return own, bootstrap


def bootstrap_interval(generator: np.random.Generator, values: Values, resamples: int = 500) -> tuple[float, float]:
    """The percentile interval of the mean, seeds and queries drawn independently."""
    by_seed, by_query = (generator.multinomial(size, np.full(size, 1 / size), resamples) / size for size in values.shape)
    low, high = np.quantile(((by_query @ values.T) * by_seed).sum(1), [0.025, 0.975])
    return float(low), float(high)


def one_less_another(generator: np.random.Generator, queries: int, seed_sd: float) -> Values:
    """The queries' differences of two recipes whose means are equal over all seeds and queries there could be."""
    sd = np.sqrt(2) * np.hypot(RECIPE_SD, ERROR_SD)
    return generator.normal(generator.normal(0, np.sqrt(2) * seed_sd), sd, (1, queries))


if __name__ == "__main__":
    main()
