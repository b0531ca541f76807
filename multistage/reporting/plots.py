"""Plots: effectiveness with intervals, by cost and by re-ranking depth, and the training curve of a stage."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from multistage.config.recipes import FIRST_STAGE, UNTRAINED
from multistage.jobs.files import read_json, replacing
from multistage.reporting.pages import recipe_name, system_names

matplotlib.use("svg")
pyplot.style.use("multistage.reporting.plots")
GREY = "#555555"
LABEL = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}


def plot_effectiveness(means: pd.DataFrame, measure: str, confidence: float) -> Figure:
    """A panel for each benchmark and first stage: the mean of `measure` of every system with its interval.

    means: what `comparison.compare` made. The dashed line is the first stage. A mean far below the others, as before training,
    is an arrow. Panels have scales of their own. First stages alone stand in one panel for each benchmark, without the line.
    """
    chosen = means[means["measure"] == measure]
    chosen = chosen.assign(system=system_names(chosen))
    if alone := bool((chosen["recipe"] == FIRST_STAGE).all()):
        chosen = chosen.assign(retriever="")
    figure, panels = _panels(chosen, 0.9 + 0.32 * chosen.groupby(["benchmark", "retriever"]).size().max())
    for panel, rows in panels:
        rows = rows[::-1]
        scale = rows[rows["recipe"] != UNTRAINED]
        margin = 0.15 * (scale["high"].max() - scale["low"].min())
        left = scale["low"].min() - margin
        for height, row in enumerate(rows.to_dict("records")):
            colour = GREY if row["recipe"] == FIRST_STAGE else "C0"
            hidden = row["mean"] < left
            panel.plot(max(row["mean"], left), height, "<" if hidden else "o", color=colour, clip_on=False)
            if not hidden:
                panel.hlines(height, row["low"], row["high"], color=colour, linewidth=2)
            place = (left if hidden else row["high"], height)
            panel.annotate(f"{row['mean']:.3f}", place, (6, 0), textcoords="offset points", va="center", size=9)
        if not alone:
            _first_stage_line(panel.axvline, rows)
        panel.set_yticks(range(len(rows)), rows["system"])
        panel.set(ylim=(-0.6, len(rows) - 0.4), xlim=(left, scale["high"].max() + 2.5 * margin))
        panel.set_xlabel(f"{measure} (mean, {confidence:.0%} interval)")
    return figure


def plot_costs(costs: pd.DataFrame) -> Figure:
    """A panel for each benchmark and first stage: effectiveness by seconds of training, the Pareto front as a line.

    costs: what `costs.cost_table` made. The untrained re-ranker is left out.
    """
    figure, panels = _panels(costs, 3.0)
    for panel, rows in panels:
        trained = rows[rows["training_seconds"] > 0]
        _first_stage_line(panel.axhline, rows)
        for row in trained.to_dict("records"):
            panel.vlines(row["training_seconds"], row["low"], row["high"], color="C0", linewidth=1)
            panel.plot(row["training_seconds"], row["mean"], "o", color="C0", markerfacecolor="C0" if row["front"] else "white")
            name, place = f"{row['backbone']} {recipe_name(row['recipe'])}", (row["training_seconds"], row["mean"])
            panel.annotate(name, place, (7, 4), textcoords="offset points", size=9, bbox=LABEL)
        front = rows[(rows["recipe"] == FIRST_STAGE) | (rows["front"] & (rows["training_seconds"] > 0))]
        front = front.sort_values("training_seconds")
        panel.step(front["training_seconds"], front["mean"], where="post", color="C1", marker="", linewidth=1, zorder=1)
        unit = "GPU" if (trained["device"] == "cuda").any() else "CPU"
        panel.set(xlabel=f"{unit}-seconds of training, all stages", ylabel=costs["measure"].iloc[0])
        panel.set_xlim(0, 1.4 * max(trained["training_seconds"].max(), 1e-9))
    return figure


def plot_depths(curves: dict[str, pd.DataFrame]) -> Figure:
    """A panel for each benchmark and first stage: effectiveness by re-ranking depth, a line for each recipe, mean over seeds.

    curves: for each benchmark what `depth.depth_curves` wrote.
    """
    table = pd.concat([curve.assign(benchmark=name) for name, curve in curves.items()])
    table = table[table["recipe"] != UNTRAINED]
    table = table.assign(system=table["backbone"] + " " + table["recipe"].map(recipe_name))
    figure, panels = _panels(table, 3.2)
    for panel, rows in panels:
        lines = rows.groupby(["depth", "system"], sort=False)["value"].mean().unstack(sort=False)
        for system, line in lines.items():
            panel.plot(line.index, line, label=system)
        panel.set(xticks=lines.index, xlabel="candidates re-ranked (0: the first stage)", ylabel=table["measure"].iloc[0])
        panel.legend(fontsize=8)
    return figure


def plot_training(record: str | Path) -> Figure:
    """Loss, agreement with the target order, and nDCG@10 on the validation set, by step.

    record: a stage's training.json. The circle marks the step whose weights are the model's.
    """
    stage = read_json(record, "validation", "loss", "exported")
    validation = pd.DataFrame(stage["validation"]).set_index("step")
    training = pd.DataFrame(stage["loss"]).set_index("step")
    figure, axes = pyplot.subplots(1, 3, figsize=(9, 2.6))
    lines = {
        "Loss (training)": training["loss"],
        "Agreement with the target order\n(training, Kendall's tau)": training["kendall_tau"],
        "nDCG@10 (validation)": validation["ndcg@10"],
    }
    for number, (panel, (title, line)) in enumerate(zip(axes, lines.items(), strict=True)):
        panel.plot(line.index, line, color=f"C{number}", marker="o" if len(line) < 40 else "")
        panel.set(title=title, xlabel="Step", xlim=(0, 1.06 * validation.index.max()))
        panel.xaxis.get_major_locator().set_params(integer=True)
    exported = validation.loc[validation.index == stage["exported"]["step"], "ndcg@10"]
    axes[2].plot(exported.index, exported, "o", markersize=11, markerfacecolor="none", color=GREY)
    return figure


def save(figure: Figure, *files: str | Path) -> None:
    """Write the figure in the format of each file, the same bytes each time, and close it."""
    with replacing(*files) as partial:
        for file in partial:
            figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)


def _panels(table: pd.DataFrame, height: float) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]]]:
    """A figure with a row for each benchmark and a column for each first stage, and each panel with its rows of the table.

    height: of a panel, in inches.
    """
    benchmarks, retrievers = table["benchmark"].unique(), table["retriever"].unique()
    size = (1 + 3.6 * len(retrievers), height * len(benchmarks))
    figure, axes = pyplot.subplots(len(benchmarks), len(retrievers), figsize=size, squeeze=False)
    panels = []
    for panel, (benchmark, retriever) in zip(axes.flat, product(benchmarks, retrievers), strict=True):
        panel.set_title(f"{benchmark}, over {retriever}" if retriever else benchmark)
        panels.append((panel, table[(table["benchmark"] == benchmark) & (table["retriever"] == retriever)]))
    return figure, panels


def _first_stage_line(draw: Callable[..., Any], rows: pd.DataFrame) -> None:
    draw(rows.loc[rows["recipe"] == FIRST_STAGE, "mean"].item(), color=GREY, linewidth=1, linestyle="--", zorder=0)
