"""Values per query of runs of one's own, and of several experiments, as one experiment's evaluation holds them."""

import pandas as pd

from multistage.config.recipes import FIRST_STAGE, TEACHER, UNTRAINED
from multistage.evaluation.measures import SYSTEM, System, measures_of
from multistage.jobs.errors import InputError
from multistage.jobs.log import logger

Experiment = dict[str, pd.DataFrame]


def own_systems(names: list[str]) -> list[System]:
    """Runs as systems: those of one name are one system, as if each were another seed."""
    return [System("", "", name, str(names[:place].count(name))) for place, name in enumerate(names)]


def side_by_side(experiments: dict[str, Experiment], wanted: list[str] | None = None) -> Experiment:
    """The values of several experiments, by name, on the benchmarks that all of them have, as those of one.

    A recipe becomes `experiment:recipe`. First stages and teachers belong to all: a measure by which one of them has other
    values in another experiment (a deeper grid, another relevance) is left out, and so are untrained re-rankers.
    wanted: measures; None for all.
    Raises InputError where experiments have no benchmark or measure in common, or other queries.
    """
    benchmarks = [name for name in next(iter(experiments.values())) if all(name in each for each in experiments.values())]
    if not benchmarks:
        have = "; ".join(f"{name} has {', '.join(values)}" for name, values in experiments.items())
        raise InputError(f"the experiments have no benchmark in common: {have}.")
    return {
        benchmark: _of_benchmark(benchmark, {name: values[benchmark] for name, values in experiments.items()}, wanted)
        for benchmark in benchmarks
    }


def _of_benchmark(benchmark: str, tables: Experiment, wanted: list[str] | None) -> pd.DataFrame:
    first, *others = tables
    for other in others:
        if list(tables[first]["query"].unique()) != list(tables[other]["query"].unique()):
            raise InputError(f"{benchmark}: {first} and {other} were evaluated on other queries, or in another order.")
    measures = [name for name in measures_of(tables[first], wanted) if all(name in table for table in tables.values())]
    parts = []
    for name, table in tables.items():
        own = table[table["recipe"] != UNTRAINED]
        shared = own["recipe"].isin((FIRST_STAGE, TEACHER))
        parts.append(own.assign(recipe=own["recipe"].where(shared, f"{name}:" + own["recipe"])))
    key = [*SYSTEM, "query"]
    whole = pd.concat(parts, ignore_index=True)[[*key, *measures]]
    several = whole[whole.duplicated(key, keep=False)]
    differing = several.groupby(key, sort=False)[measures].nunique().gt(1).any()
    for measure in differing[differing].index:
        logger.warning(f"{benchmark}: {measure} left out: a first stage or teacher has other values in each experiment")
    if differing.all():
        raise InputError(f"{benchmark}: {' and '.join(tables)} have no measure in common by which first stages are the same.")
    whole = whole.drop_duplicates(key).drop(columns=differing[differing].index)
    return pd.concat(own for _, own in whole.groupby("retriever", sort=False))
