"""What effectiveness costs: training, re-ranking, and which systems nothing cheaper beats."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from multistage.config.recipes import FIRST_STAGE, FUSED, TEACHER, stages_of
from multistage.evaluation.comparison import POOLED
from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing
from multistage.reporting.names import system_name
from multistage.reporting.page import html_page, markdown_to_html

NOTE = (
    "Training: seconds of all stages that lead to the model, on all devices together, mean over seeds. Re-ranking: the "
    "seconds of the whole job, start and loading included, by the number of queries; one job re-ranks the candidates of "
    "every first stage. ●: on the Pareto front: nothing over the same first stage that takes no longer to train is better."
)


class Model(NamedTuple):
    """A re-ranker of the grid."""

    backbone: str
    recipe: str
    seed: str


def training_costs(models: Sequence[Model], records: Sequence[str]) -> pd.DataFrame:
    """What each stage took: index backbone, recipe, seed; columns device, seconds (of all processes together), pairs.

    models, records: stages, and the training.json of each. Raises InputError for a record without these numbers.
    """
    rows = []
    for path in records:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        try:
            run = record["run"]
            rows.append([run["device"], record["seconds"] * run["processes"], record["pairs"] * run["processes"]])
        except KeyError as error:
            raise InputError(f"{path}: it has no {error}; it is no record of a trained stage.") from error
    index = pd.MultiIndex.from_tuples([tuple(model) for model in models], names=Model._fields)
    return pd.DataFrame(rows, index=index, columns=["device", "seconds", "pairs"])


def rerank_seconds(path: str) -> float:
    """The seconds of a job, from Snakemake's benchmark file. Raises InputError when it holds none."""
    table = pd.read_csv(path, sep="\t")
    if "s" not in table or table.empty:
        raise InputError(f"{path}: no column s with a job's seconds; expected a benchmark file of Snakemake.")
    return float(table["s"].mean())


def cost_table(means: pd.DataFrame, training: pd.DataFrame, reranking: pd.DataFrame, measure: str) -> pd.DataFrame:
    """One row per benchmark and system that is a first stage or a re-ranker of the grid.

    means: what `comparison.compare` made. training: what `training_costs` gives. reranking: columns of Model, benchmark,
    seconds. Columns: benchmark, retriever, backbone, recipe, device, training_seconds and training_pairs (of all its stages,
    mean over seeds), rerank_ms (of a query, the job's start and the loading of the model included), the measure's mean, low,
    high, and front: no system over the same first stage is better and takes no longer to train.
    """
    chosen = means[(means["measure"] == measure) & (means["recipe"] != TEACHER) & ~means["recipe"].str.endswith(FUSED)]
    rows = []
    for row in chosen.to_dict("records"):
        at = (
            reranking[["backbone", "recipe", "benchmark"]] == [row[name] for name in ("backbone", "recipe", "benchmark")]
        ).all(axis=1)
        own = reranking[at]
        keys = [(row["backbone"], stage, seed) for stage in stages_of(str(row["recipe"])) for seed in own["seed"]]
        stages, models = training.loc[keys], max(len(own), 1)
        costs = [stages["seconds"].sum() / models, stages["pairs"].sum() / models, own["seconds"].sum() / models]
        device = stages["device"].iloc[-1] if len(stages) else ""
        place = [row[name] for name in ("benchmark", *POOLED)]
        rows.append([*place, device, *costs[:2], 1000 * costs[2] / row["queries"], row["mean"], row["low"], row["high"]])
    columns = ["device", "training_seconds", "training_pairs", "rerank_ms", "mean", "low", "high"]
    table = pd.DataFrame(rows, columns=["benchmark", *POOLED, *columns]).assign(measure=measure)
    groups = table.groupby(["benchmark", "retriever"], sort=False)
    return table.assign(front=pd.concat([on_front(own["training_seconds"], own["mean"]) for _, own in groups]))


def on_front(cost: pd.Series, value: pd.Series) -> pd.Series:
    """Whether no other is at least as good and as cheap, and better or cheaper: the Pareto front."""
    costs, values = cost.to_numpy(), value.to_numpy()
    no_dearer, no_worse = costs <= costs[:, None], values >= values[:, None]
    beaten = no_dearer & no_worse & ((costs < costs[:, None]) | (values > values[:, None]))
    return pd.Series(~beaten.any(axis=1), index=cost.index)


def as_markdown(table: pd.DataFrame) -> str:
    """The table to read: one for each benchmark."""
    measure = table["measure"].iloc[0]
    parts = []
    for benchmark, rows in table.groupby("benchmark", sort=False):
        parts.append(f"### {benchmark}\n")
        parts.append(f"| First stage | System | {measure} | Training | Pairs seen | Re-ranking a query | Front |")
        parts.append("|---|---|---:|---:|---:|---:|:---:|")
        for row in rows.to_dict("records"):
            name = system_name(str(row["retriever"]), str(row["backbone"]), str(row["recipe"]))
            unit = "GPU-s" if row["device"] == "cuda" else "CPU-s"
            training = f"{row['training_seconds']:,.0f} {unit}" if row["training_seconds"] else "–"
            pairs = f"{row['training_pairs']:,.0f}" if row["training_pairs"] else "–"
            latency = f"{row['rerank_ms']:.1f} ms" if row["recipe"] != FIRST_STAGE else "–"
            front = "●" if row["front"] else ""
            parts.append(f"| {row['retriever']} | {name} | {row['mean']:.3f} | {training} | {pairs} | {latency} | {front} |")
        parts.append("")
    return "\n".join([*parts, NOTE, ""])


def write_costs(table: pd.DataFrame, csv: str | Path, markdown: str | Path, html: str | Path) -> None:
    """Write what `cost_table` made, three ways."""
    text = as_markdown(table)
    with replacing(csv, markdown, html) as files:
        table.to_csv(files[0], index=False, float_format="%.6g")
        files[1].write_text(text, encoding="utf-8")
        files[2].write_text(html_page("Cost", "<h1>Effectiveness and cost</h1>\n" + markdown_to_html(text)), encoding="utf-8")


def read_costs(path: str | Path) -> pd.DataFrame:
    """Read the CSV that `write_costs` wrote."""
    return pd.read_csv(path, keep_default_na=False, dtype={"backbone": str, "recipe": str, "front": bool, "mean": np.float64})
