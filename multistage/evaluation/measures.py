"""Effectiveness of runs, query by query, with ranx; equal to trec_eval's, ties included."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from multistage.config.fields import JUDGED, MEANINGS, MEASURE
from multistage.evaluation.judgements import Grades, Judgements, read_judgements, read_ranking
from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing
from multistage.jobs.log import Rate

# The function of ranx.metrics that computes each.
RANX = {
    "nDCG": "ndcg",
    "RR": "reciprocal_rank",
    "AP": "average_precision",
    "R": "recall",
    "P": "precision",
    "judged": "precision",
}
SYSTEM = ["retriever", "backbone", "recipe", "seed"]
ALL_PASSAGES = np.iinfo(np.int32).max
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class System:
    """What produced a run. retriever: the first stage. recipe: `first-stage`, `teacher`, or the re-ranker's recipe, with
    `+fused` behind it where its scores are fused with the first stage's.

    backbone: of the re-ranker, or the teacher's name; empty for a first stage. seed: the re-ranker's; else empty.
    """

    retriever: str
    backbone: str
    recipe: str
    seed: str


def parse(measure: str) -> tuple[str, int]:
    """The name of a measure such as nDCG@10 or AP, and its cut-off, 0 for none. Raises InputError when it is none."""
    found = re.fullmatch(MEASURE, measure)
    if found is None:
        raise InputError(f"measure {measure!r} is unknown; {MEANINGS[MEASURE]}.")
    return found[1] or found[3], int((found[2] or found[4] or "@0")[1:])


def is_judged(measure: str) -> bool:
    """Whether this is the share of judged passages."""
    return parse(measure)[0] == JUDGED


def measure_ranking(ranking: Grades, judgements: Judgements, measures: list[str], relevance: int) -> dict[str, Values]:
    """Each measure's values, (queries,), in the order of the judgements' queries.

    ranking: what `judgements.ranked_columns` gives. relevance: the least grade that counts as relevant for binary measures;
    nDCG takes all grades above 0 as linear gains. A query without a relevant passage, or that the run lacks, counts as zero.
    """
    from ranx import metrics

    values = {}
    for measure in measures:
        name, cut = parse(measure)
        qrels = judgements.judged if name == JUDGED else judgements.grades
        level = 1 if name in ("nDCG", JUDGED) else relevance
        values[measure] = getattr(metrics, RANX[name])(qrels, ranking, cut, level)
    return values


def evaluate_runs(
    systems: list[System],
    runs: list[str],
    qrels: str,
    measures: list[str],
    relevance: int,
    depth: int | None,
    output: str | Path,
    threads: int = 1,
) -> None:
    """Measure every run of a benchmark; write one row per system and query (Parquet): SYSTEM, query, and the measures.

    systems and runs go together. depth: passages of a ranking that are measured; None: all. threads: that read a run.
    Raises InputError for a bad run, or when no judgement reaches the relevance level, before anything is written.
    """
    judgements = read_judgements(qrels, relevance)
    rate = Rate(len(runs), "runs")
    values: dict[str, list[Values]] = {measure: [] for measure in measures}
    for path in runs:
        ranking = read_ranking(path, judgements, depth or ALL_PASSAGES, threads)
        for measure, found in measure_ranking(ranking, judgements, measures, relevance).items():
            values[measure].append(found)
        rate.advance(1)
    count = len(judgements.queries)
    numbers = np.arange(len(systems)).repeat(count)
    columns = {name: pd.Categorical([getattr(system, name) for system in systems])[numbers] for name in SYSTEM}
    columns["query"] = pd.Categorical(judgements.queries, categories=judgements.queries)[
        np.tile(np.arange(count), len(systems))
    ]
    table = pd.DataFrame(columns | {measure: np.concatenate(parts) for measure, parts in values.items()})
    with replacing(output) as (partial,):
        table.to_parquet(partial, index=False)
