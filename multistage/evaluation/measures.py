"""Effectiveness of runs, query by query, with ranx; equal to trec_eval's, ties included."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl

from multistage.evaluation.judgements import Grades, Judgements, read_judgements, read_ranking
from multistage.jobs.errors import InputError
from multistage.jobs.files import readable, replacing
from multistage.jobs.log import Rate, logger
from multistage.measures import split_cutoff

Values = npt.NDArray[np.float64]
# The share of the first places without a judged passage from which people are told.
JUDGED, MANY_UNJUDGED = "judged@10", 0.1


class System(NamedTuple):
    """What produced a run. retriever: the first stage. recipe: `first-stage`, `teacher`, or the re-ranker's recipe, with
    `+fused` behind it where its scores are fused with the first stage's.

    backbone: of the re-ranker, or the teacher's name; empty for a first stage. seed: the re-ranker's; else empty.
    """

    retriever: str
    backbone: str
    recipe: str
    seed: str


SYSTEM = list(System._fields)


def read_values(path: str | Path) -> pd.DataFrame:
    """What `write_values` wrote. Raises InputError for a damaged file."""
    with readable(path):
        values = pd.read_parquet(path)
        if lacking := {*SYSTEM, "query"} - {*values}:
            raise ValueError(f"it lacks {', '.join(sorted(lacking))}")
        return values


def read_experiment(folder: str | Path) -> dict[str, pd.DataFrame]:
    """The values of each benchmark of an experiment. Raises InputError for a folder that holds none, or a damaged file."""
    files = sorted(Path(folder).glob("evaluation/*.parquet"))
    if not files:
        raise InputError(f"{folder}: it has no evaluation/*.parquet; give an experiment's folder, such as results/wikipedia.")
    return {path.stem: read_values(path) for path in files}


def measures_of(table: pd.DataFrame, wanted: list[str] | None = None) -> list[str]:
    """The measures in a table of values, or those wanted. Raises InputError for one that it lacks."""
    measures = [name for name in table.columns if name not in (*SYSTEM, "query")]
    for lacking in sorted({*(wanted or [])} - {*measures}):
        raise InputError(f"{lacking} was not measured; {', '.join(measures)} were.")
    return list(dict.fromkeys(wanted or measures))


def measure_ranking(ranking: Grades, judgements: Judgements, measures: list[str]) -> dict[str, Values]:
    """Each measure's values, (queries,), in the order of the judgements' queries.

    ranking: what `Judgements.ranking` gives. Which grades count as relevant for binary measures, the judgements say; nDCG takes
    all above 0 as linear gains. A query without a relevant passage, or that the run lacks, counts as zero.
    """
    from ranx import metrics

    values = {}
    for measure in measures:
        definition, cutoff = split_cutoff(measure)
        qrels = judgements.judged if definition.reads == "judged" else judgements.grades
        level = judgements.relevance if definition.reads == "relevant" else 1
        values[measure] = getattr(metrics, definition.function)(qrels, ranking, cutoff, level)
    return values


def mean_of(run: pl.DataFrame, judgements: Judgements, measure: str) -> float:
    """The mean of one measure over queries. run: with ids, in run order. Raises InputError as `Judgements.locate` does."""
    ranking = judgements.ranking(judgements.locate(run))
    return float(measure_ranking(ranking, judgements, [measure])[measure].mean())


def evaluate_runs(
    systems: list[System], runs: list[str], *, qrels: str, measures: list[str], relevance: int, depth: int | None
) -> pl.DataFrame:
    """Measure every run of a benchmark: one row per system and query, with the columns SYSTEM, query, and the measures.

    systems and runs go together. depth: passages of a ranking that are measured; None: all.
    The log says which share of the first 10 passages is unjudged, and how many queries have no ranking. Raises InputError for a
    bad run, or as `read_judgements` does.
    """
    judgements = read_judgements(qrels, relevance)
    rate, parts, unjudged, lacking = Rate(len(runs), "runs"), [], {}, {}
    for system, path in zip(systems, runs, strict=True):
        ranking = read_ranking(path, judgements, depth)
        values = measure_ranking(ranking, judgements, [*measures, JUDGED])
        name = " ".join(filter(None, system))
        unjudged[name], lacking[name] = 1 - values[JUDGED].mean(), int((ranking[:, 0, 1] == 0).sum())
        parts.append(pl.DataFrame(dict(zip(SYSTEM, system, strict=True)) | {"query": judgements.queries, **values}))
        rate.advance(1)
    if count := lacking[most := max(lacking, key=lacking.__getitem__)]:
        queries = f"{count:,} of {len(judgements.queries):,} judged queries"
        logger.warning(f"{queries} have no ranking in the run of {most}, which has fewest; they count as zero")
    most = max(unjudged, key=unjudged.__getitem__)
    if unjudged[most] > MANY_UNJUDGED:
        shares = " to ".join(dict.fromkeys(f"{share:.0%}" for share in (min(unjudged.values()), unjudged[most])))
        logger.warning(f"{shares} of a run's first 10 passages are unjudged (most: {most}); they count as not relevant")
    return pl.concat(parts).select(*SYSTEM, "query", *dict.fromkeys(measures))


def write_values(values: pl.DataFrame, path: str | Path) -> None:
    """Write what `evaluate_runs` gives as Parquet."""
    with replacing(path) as (partial,):
        values.write_parquet(partial)
