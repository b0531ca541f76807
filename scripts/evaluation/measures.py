"""Effectiveness of runs, query by query, with ranx; equal to trec_eval's, ties included."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from collection.tables import read_qrels
from jobs.errors import InputError
from jobs.files import replacing
from jobs.log import Rate
from trec.runs import read_run

RANX_NAMES = {"nDCG": "ndcg", "RR": "mrr", "AP": "map", "R": "recall", "P": "precision"}
MEASURE = re.compile(rf"({'|'.join(RANX_NAMES)})(@[1-9][0-9]*)?")
SYSTEM = ["retriever", "backbone", "recipe", "seed"]


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


def ranx_name(measure: str, relevance: int) -> str:
    """ranx's name of a measure such as nDCG@10 or AP.

    relevance: the least grade that counts as relevant for the binary measures; nDCG uses all grades as linear gains.
    Raises InputError for a name that is no measure.
    """
    found = MEASURE.fullmatch(measure)
    if found is None:
        raise InputError(f"measure {measure!r} is unknown; choose from {', '.join(RANX_NAMES)}, each with or without @k.")
    level = "" if found[1] == "nDCG" else f"-l{relevance}"
    return f"{RANX_NAMES[found[1]]}{found[2] or ''}{level}"


def measure_run(run: pd.DataFrame, qrels: pd.DataFrame, measures: list[str], relevance: int) -> pd.DataFrame:
    """Values of one run: index query (every query of the qrels), a column per measure.

    run: in run order, which breaks ties as trec_eval does. qrels: query, passage, grade. A query that the run lacks
    counts as zero; queries without judgements are left out. Raises InputError when run and qrels share no query.
    """
    from ranx import Qrels, Run, evaluate

    judged = qrels[qrels["grade"] > 0]
    answered = run[run["query"].isin(judged["query"])]
    if answered.empty:
        raise InputError("run and judgements have no query in common; they belong to different query sets.")
    values = pd.DataFrame(0.0, index=pd.Index(qrels["query"].unique(), name="query"), columns=measures)
    # Distinct scores that fall with the position: the order is ours, and ranx meets no tie.
    position = -answered.groupby("query", sort=False).cumcount().astype(np.float64)
    ranx_run = Run.from_df(
        pd.DataFrame({"q_id": answered["query"], "doc_id": answered["passage"], "score": position}).astype(
            {"q_id": object, "doc_id": object}
        )
    )
    ranx_qrels = Qrels.from_df(
        pd.DataFrame({"q_id": judged["query"], "doc_id": judged["passage"], "score": judged["grade"].astype(np.int64)}).astype(
            {"q_id": object, "doc_id": object}
        )
    )
    names = {measure: ranx_name(measure, relevance) for measure in measures}
    evaluate(ranx_qrels, ranx_run, list(names.values()), make_comparable=True)
    for measure, name in names.items():
        scores = pd.Series(ranx_run.scores[name])
        values.loc[scores.index, measure] = scores
    return values


def evaluate_runs(
    systems: list[System], runs: list[str], qrels: str, measures: list[str], relevance: int, output: str | Path
) -> None:
    """Measure every run of a benchmark; write one row per system, query and measure (Parquet).

    Columns: retriever, backbone, recipe, seed, query, measure, value. systems and runs go together.
    """
    judgements = read_qrels(qrels)
    if not (judgements["grade"] >= relevance).any():
        raise InputError(f"{qrels}: no judgement reaches the benchmark's relevance level {relevance}.")
    parts = []
    rate = Rate(len(runs), "runs")
    for system, path in zip(systems, runs, strict=True):
        values = measure_run(read_run(path), judgements, measures, relevance)
        long = values.reset_index().melt(id_vars="query", var_name="measure", value_name="value")
        parts.append(long.assign(**vars(system)))
        rate.advance(1)
    table = pd.concat(parts, ignore_index=True)
    with replacing(output) as (partial,):
        table[[*SYSTEM, "query", "measure", "value"]].to_parquet(partial, index=False)
