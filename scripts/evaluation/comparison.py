"""From values per query to the results table: means, confidence intervals, paired tests."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from .measures import SYSTEM

FIRST_STAGE = "first-stage"
UNTRAINED = "untrained"
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class IntervalSettings:
    """confidence: of the bootstrap interval. resamples: of the bootstrap. seed: of its generator."""

    confidence: float
    resamples: int
    seed: int


def bootstrap_interval(values: Floats, settings: IntervalSettings) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over queries (Efron & Tibshirani 1993, ch. 13)."""
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    found = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=settings.confidence,
        n_resamples=settings.resamples,
        method="percentile",
        batch=100,
        rng=np.random.default_rng(settings.seed),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def compare(values: dict[str, pd.DataFrame], settings: IntervalSettings) -> pd.DataFrame:
    """One row per benchmark, system and measure, in the order of `values`.

    values: for each benchmark what `measures.evaluate_runs` wrote. Columns: benchmark, retriever, backbone, recipe, seed,
    measure, queries, mean, low, high (the interval), difference from the system's own first stage, and p, two-sided, of
    the paired t-test of that difference over queries (nan where no query differs, as for the first stage itself).
    """
    rows = []
    for benchmark, table in values.items():
        ordered = table.sort_values("query", kind="stable")
        systems = {
            key: group["value"].to_numpy() for key, group in ordered.groupby([*SYSTEM, "measure"], sort=False, observed=True)
        }
        first_stages = {(key[0], key[4]): own for key, own in systems.items() if key[2] == FIRST_STAGE}
        for key in table[[*SYSTEM, "measure"]].drop_duplicates().itertuples(index=False, name=None):
            own = systems[key]
            low, high = bootstrap_interval(own, settings)
            first_stage = first_stages[key[0], key[4]]
            difference = float(np.mean(own - first_stage))
            p = float(stats.ttest_rel(own, first_stage).pvalue) if np.ptp(own - first_stage) else np.nan
            rows.append([benchmark, *key, len(own), float(np.mean(own)), low, high, difference, p])
    columns = ["benchmark", *SYSTEM, "measure", "queries", "mean", "low", "high", "difference", "p"]
    return pd.DataFrame(rows, columns=columns)
