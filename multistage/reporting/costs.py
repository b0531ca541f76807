"""What effectiveness costs: training, re-ranking, and which systems are not beaten by cheaper ones."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from multistage.config.recipes import FUSED, TEACHER, stages_of
from multistage.evaluation.comparison import POOLED
from multistage.evaluation.measures import SYSTEM
from multistage.jobs.files import read_json, readable, write_texts
from multistage.reporting.pages import fixed, markdown_table, system_names, write_tables

NOTE = (
    "Training: seconds of all stages that lead to the model, on all devices together, mean over seeds (and folds); what its "
    "teachers, and models that choose its negatives, took is not in it. Re-ranking: the "
    "seconds of the whole job, start and loading included, by the number of queries; one job re-ranks the candidates of "
    "every first stage. ●: on the Pareto front: nothing over the same first stage that takes no longer to train is better."
)
# A re-ranker, and one whose seeds are taken together.
MODEL, RECIPE = SYSTEM[1:], POOLED[1:]
Model = tuple[str, str, str]


def training_costs(models: Sequence[Model], records: Sequence[str]) -> pd.DataFrame:
    """What each model's last stage took: columns of MODEL, device, seconds (of all processes together), pairs.

    records: the training.json of each model. Raises InputError for one that lacks these numbers.
    """
    read = [read_json(path, "seconds", "pairs", "run") for path in records]
    taken = [(each["run"]["device"], *(each["run"]["processes"] * each[key] for key in ("seconds", "pairs"))) for each in read]
    return pd.DataFrame(models, columns=MODEL).assign(**pd.DataFrame(taken, columns=["device", "seconds", "pairs"]))


def reranking_costs(timed: Sequence[tuple[str, ...]], timings: Sequence[str]) -> pd.DataFrame:
    """What each job of re-ranking took: columns of MODEL, benchmark, seconds.

    timed: model and benchmark, once a fold (seed 42/fold2). timings: Snakemake's benchmark files. Raises InputError for one
    without seconds.
    """
    table, seconds = pd.DataFrame(timed, columns=[*MODEL, "benchmark"]), []
    for path in timings:
        with readable(path):
            mean = float(pd.read_csv(path, sep="\t")["s"].mean())
            if not mean >= 0 or not Path(path).read_bytes().endswith(b"\n"):
                raise ValueError("it holds no seconds, or is cut off")
            seconds.append(mean)
    return table.assign(seed=table["seed"].str.replace("/.*", "", regex=True), seconds=seconds)


def cost_table(means: pd.DataFrame, training: pd.DataFrame, reranking: pd.DataFrame, measure: str) -> pd.DataFrame:
    """A row for each benchmark and system that is a first stage or a re-ranker of the grid.

    means: what `comparison.compare` made. training, reranking: what the two functions above give.
    Columns: benchmark, retriever, backbone, recipe, device, training_seconds and training_pairs (of all its stages, mean over
    seeds), rerank_ms (of a query, the job's start and the loading of the model included), the measure's mean, low, high, and
    front: no system over the same first stage is better and takes no longer to train.
    """
    stages = [training[training["recipe"].isin(stages_of(name))].assign(recipe=name) for name in training["recipe"].unique()]
    models = pd.concat([training.head(0), *stages]).groupby(MODEL, sort=False, as_index=False)
    trained = models.agg(device=("device", "last"), training_seconds=("seconds", "sum"), training_pairs=("pairs", "sum"))
    trained = trained.groupby(RECIPE).agg({"device": "last", "training_seconds": "mean", "training_pairs": "mean"})
    whole = reranking.groupby([*MODEL, "benchmark"])["seconds"].sum()  # of all folds, where there are some
    latency = whole.groupby([*RECIPE, "benchmark"]).mean().rename("rerank_ms")
    table = means[(means["measure"] == measure) & (means["recipe"] != TEACHER) & ~means["recipe"].str.endswith(FUSED)]
    table = table.join(trained, on=RECIPE).join(latency, on=[*RECIPE, "benchmark"]).reset_index(drop=True)
    table["rerank_ms"] *= 1000 / table["queries"]
    table = table.fillna({"device": "", "training_seconds": 0, "training_pairs": 0, "rerank_ms": 0})
    groups = table.groupby(["benchmark", "retriever"], sort=False)
    table["front"] = pd.concat([on_front(own["training_seconds"], own["mean"]) for _, own in groups])
    columns = ["device", "training_seconds", "training_pairs", "rerank_ms", "mean", "low", "high", "measure", "front"]
    return table[["benchmark", *POOLED, *columns]]


def on_front(cost: pd.Series, value: pd.Series) -> pd.Series:
    """Whether no other is at least as good and as cheap, and better or cheaper: the Pareto front."""
    costs, values = cost.to_numpy(), value.to_numpy()
    no_dearer, no_worse = costs <= costs[:, None], values >= values[:, None]
    beaten = no_dearer & no_worse & ((costs < costs[:, None]) | (values > values[:, None]))
    return pd.Series(~beaten.any(axis=1), index=cost.index)


def write_costs(table: pd.DataFrame, csv: str | Path, markdown: str | Path, html: str | Path) -> None:
    """Write what `cost_table` made as CSV, and as a Markdown table for each benchmark and a page of them."""
    parts = []
    for benchmark, rows in table.groupby("benchmark", sort=False):
        unit = rows["device"].map(lambda device: "GPU-s" if device == "cuda" else "CPU-s")
        columns = {
            "First stage": rows["retriever"],
            "System": system_names(rows),
            rows["measure"].iloc[0]: fixed(rows["mean"]),
            "Training": (rows["training_seconds"].map("{:,.0f} ".format) + unit).where(rows["training_seconds"] > 0, "–"),
            "Pairs seen": rows["training_pairs"].map("{:,.0f}".format).where(rows["training_pairs"] > 0, "–"),
            "Re-ranking a query": rows["rerank_ms"].map("{:.1f} ms".format).where(rows["rerank_ms"] > 0, "–"),
            "Front": rows["front"].map({True: "●", False: ""}),
        }
        parts += [f"### {benchmark}", "", markdown_table(columns, "llrrrrc"), ""]
    write_tables("Effectiveness and cost", "\n".join([*parts, NOTE, ""]), markdown, html)
    write_texts({csv: table.to_csv(index=False, float_format="%.6g")})
