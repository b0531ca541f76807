"""From values per query to what is known of every system: means with intervals, differences with tests."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from multistage.config.evaluation import Evaluation
from multistage.config.recipes import FIRST_STAGE, UNTRAINED
from multistage.evaluation.inference import Values, difference, randomization_tests, verdict
from multistage.evaluation.measures import SYSTEM, measures_of
from multistage.measures import compares

# A recipe, whose seeds are taken together.
POOLED = SYSTEM[:-1]
# The same by a measure: the measure, then POOLED.
Key = tuple[str, ...]


def compare(values: dict[str, pd.DataFrame], settings: Evaluation) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What is known of every system, and of every system beside another.

    values: for each benchmark what `measures.evaluate_runs` gives. Systems that differ in the seed alone are one.
    First table, by benchmark, system and measure: seeds, queries, mean, its t-interval (low, high), and the standard deviation
    of seeds' means (nan for one).
    Second table, of systems `against` their own first stage, and of trained ones against the baseline with their backbone:
    difference, its t-interval (low, high), effect size; p-values of the tests in `inference`, as they are and adjusted for all
    of one benchmark, measure and kind of comparison; the verdict of the adjusted t-tests. Intervals are not adjusted.
    """
    means, differences = [], []
    for benchmark, table in values.items():
        systems = {(measure, *key): own for measure in measures_of(table) for key, own in by_system(table, measure).items()}
        means.append(_means(benchmark, systems, settings.confidence))
        differences.append(_differences(benchmark, systems, settings))
    return pd.concat(means, ignore_index=True), pd.concat(differences, ignore_index=True)


def by_system(table: pd.DataFrame, measure: str) -> dict[Key, Values]:
    """A measure's values of each system, (seeds, queries), in the table's order. Queries stand in the same order throughout."""
    groups = table.groupby(POOLED, sort=False)
    queries = table["query"].nunique()
    return {tuple(map(str, key)): group[measure].to_numpy().reshape(-1, queries) for key, group in groups}


def pairs(systems: list[Key], baseline: str | None) -> Iterator[tuple[Key, Key, str]]:
    """Every comparison that is made: a system by a measure, the one it is compared with, and the latter's recipe."""
    for key in systems:
        measure, retriever, backbone, recipe = key
        alone, other = (measure, retriever, "", FIRST_STAGE), (measure, retriever, backbone, baseline or "")
        if alone in systems and recipe != FIRST_STAGE:
            yield key, alone, FIRST_STAGE
        if other in systems and recipe != baseline and not (backbone and recipe == UNTRAINED):
            yield key, other, str(baseline)


def _means(benchmark: str, systems: dict[Key, Values], confidence: float) -> pd.DataFrame:
    rows = []
    for (measure, *system), values in systems.items():
        seeds, queries = values.shape
        spread = float(values.mean(1).std(ddof=1)) if seeds > 1 else np.nan
        # The same model without another side; measures are from 0 to 1, and so are their means.
        low, high = np.clip(difference(values, np.zeros((1, queries))).interval(confidence), 0.0, 1.0)
        rows.append([benchmark, *system, measure, seeds, queries, float(values.mean()), low, high, spread])
    columns = ["seeds", "queries", "mean", "low", "high", "seed_sd"]
    return pd.DataFrame(rows, columns=["benchmark", *POOLED, "measure", *columns])


def _differences(benchmark: str, systems: dict[Key, Values], settings: Evaluation) -> pd.DataFrame:
    """The tests on a benchmark, p-values adjusted for all that ask the same question by the same measure, and verdicts."""
    rows, by_query = [], []
    for key, other, against in pairs([key for key in systems if compares(key[0])], settings.baseline):
        (measure, *system), a, b = key, systems[key], systems[other]
        found = difference(a, b)
        by_query.append(a.mean(0) - b.mean(0))
        tests = [found.effect, found.p, found.p_equivalence(settings.margin)]
        size, interval = (len(a), a.shape[1]), found.interval(settings.confidence)
        rows.append([benchmark, *system, against, measure, *size, found.mean, *interval, *tests])
    columns = ["seeds", "queries", "difference", "low", "high", "effect", "p", "p_equivalence"]
    table = pd.DataFrame(rows, columns=["benchmark", *POOLED, "against", "measure", *columns])
    table["p_randomization"] = randomization_tests(np.array(by_query), settings) if rows else []
    question = table.groupby(["measure", "against"], sort=False)
    for name in ("p", "p_equivalence", "p_randomization"):
        # Holm, Scandinavian Journal of Statistics 6, 1979.
        table[f"{name}_holm"] = question[name].transform(lambda p: multipletests(p, method="holm")[1]) if rows else []
    judged = zip(table["difference"], table["p_holm"], table["p_equivalence_holm"], strict=True)
    return table.assign(verdict=[verdict(*found, 1 - settings.confidence) for found in judged])
