"""Plots: effectiveness with intervals, effectiveness by cost, effectiveness by re-ranking depth."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from multistage.config.recipes import FIRST_STAGE, UNTRAINED
from multistage.jobs.files import replacing
from multistage.reporting.names import recipe_name, system_name
from multistage.reporting.style import BLUE, GREEN, GREY, METADATA, ORANGE, PURPLE, SKY, VERMILION

FIRST_STAGE_COLOUR, SYSTEM_COLOUR, FRONT_COLOUR = GREY, BLUE, ORANGE
# In print, markers tell lines apart as well.
COLOURS = [BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY]
MARKERS = ["o", "s", "^", "D", "v", "P"]
PANEL = 3.6
LABEL = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}


def plot_effectiveness(means: pd.DataFrame, measure: str, confidence: float, svg: str | Path, png: str | Path) -> None:
    """A panel per benchmark and first stage: the mean of `measure` of every system with its interval.

    means: what `comparison.compare` made. The first stage's mean is the dashed line.
    """
    chosen = means[means["measure"] == measure]
    height = 0.9 + 0.32 * chosen.groupby(["benchmark", "retriever"]).size().max()
    panels = Panels(chosen, height)
    for panel, rows in panels:
        _draw_systems(panel, rows.iloc[::-1])
        panel.set_xlabel(f"{measure} (mean, {confidence:.0%} interval)")
    panels.save(svg, png)


def plot_costs(costs: pd.DataFrame, svg: str | Path, png: str | Path) -> None:
    """A panel per benchmark and first stage: effectiveness by seconds of training, the Pareto front as a line.

    costs: what `cost.cost_table` made. The untrained re-ranker is left out.
    """
    measure = costs["measure"].iloc[0]
    panels = Panels(costs, 3.0)
    for panel, rows in panels:
        trained = rows[(rows["training_seconds"] > 0)]
        first = rows[rows["recipe"] == FIRST_STAGE].iloc[0]
        panel.axhline(first["mean"], color=FIRST_STAGE_COLOUR, linewidth=1, linestyle="--", zorder=0)
        for row in trained.to_dict("records"):
            panel.plot([row["training_seconds"]] * 2, [row["low"], row["high"]], color=SYSTEM_COLOUR, linewidth=1)
            filled = SYSTEM_COLOUR if row["front"] else "white"
            panel.plot(row["training_seconds"], row["mean"], "o", color=SYSTEM_COLOUR, markerfacecolor=filled, markersize=7)
            name = f"{row['backbone']} {recipe_name(row['recipe'])}"
            place = (row["training_seconds"], row["mean"])
            panel.annotate(name, place, (7, 4), textcoords="offset points", size=9, bbox=LABEL)
        front = pd.concat([rows[rows["recipe"] == FIRST_STAGE], trained[trained["front"]]]).sort_values("training_seconds")
        if len(front) > 1:
            panel.step(front["training_seconds"], front["mean"], where="post", color=FRONT_COLOUR, linewidth=1, zorder=1)
        unit = "GPU" if (trained["device"] == "cuda").any() else "CPU"
        panel.set_xlabel(f"{unit}-seconds of training, all stages")
        panel.set_ylabel(measure)
        panel.set_xlim(0, 1.4 * max(trained["training_seconds"].max(), 1e-9))
    panels.save(svg, png)


def plot_depths(curves: dict[str, pd.DataFrame], svg: str | Path, png: str | Path) -> None:
    """A panel per benchmark and first stage: effectiveness by re-ranking depth, a line for each recipe, mean over seeds.

    curves: for each benchmark what `depth.depth_curves` wrote.
    """
    table = pd.concat([curve.assign(benchmark=name) for name, curve in curves.items()])
    table = table[table["recipe"] != UNTRAINED]
    measure = table["measure"].iloc[0]
    panels = Panels(table, 3.2)
    for panel, rows in panels:
        for number, (key, own) in enumerate(rows.groupby(["backbone", "recipe"], sort=False)):
            line = own.groupby("depth")["value"].mean()
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
            name = f"{key[0]} {recipe_name(str(key[1]))}" if isinstance(key, tuple) else str(key)
            panel.plot(line.index, line, color=colour, marker=marker, markersize=4, label=name)
        panel.set_xticks(sorted(rows["depth"].unique()))
        panel.set_xlabel("candidates that are re-ranked (0: the first stage)")
        panel.set_ylabel(measure)
        panel.legend(fontsize=8)
    panels.save(svg, png)


class Panels:
    """A figure with a row of panels for each benchmark and a column for each first stage; iterates over panels and their
    rows."""

    def __init__(self, table: pd.DataFrame, height: float) -> None:
        """table: columns benchmark, retriever and more. height: of a panel, in inches."""
        from matplotlib import pyplot

        self.table = table
        self.benchmarks, self.retrievers = table["benchmark"].unique(), table["retriever"].unique()
        size = (1 + PANEL * len(self.retrievers), height * len(self.benchmarks))
        shape = len(self.benchmarks), len(self.retrievers)
        self.figure, self.axes = pyplot.subplots(*shape, figsize=size, squeeze=False, layout="constrained")

    def __iter__(self) -> Iterator[tuple[Axes, pd.DataFrame]]:
        for line, benchmark in enumerate(self.benchmarks):
            for column, retriever in enumerate(self.retrievers):
                panel = self.axes[line, column]
                panel.set_title(f"{benchmark}, over {retriever}")
                yield panel, self.table[(self.table["benchmark"] == benchmark) & (self.table["retriever"] == retriever)]

    def save(self, svg: str | Path, png: str | Path) -> None:
        """Write the figure both ways, the same bytes each time, and forget it."""
        from matplotlib import pyplot

        with replacing(svg, png) as (svg_file, png_file):
            self.figure.savefig(svg_file, metadata=METADATA)
            self.figure.savefig(png_file, dpi=160)
        pyplot.close(self.figure)


def _draw_systems(panel: Axes, rows: pd.DataFrame) -> None:
    """One line per system, the last at the bottom. A mean far below the others, as before training, is an arrow."""
    trained = rows[rows["recipe"] != UNTRAINED]
    margin = 0.15 * (trained["high"].max() - trained["low"].min())
    left = trained["low"].min() - margin
    for height, row in enumerate(rows.to_dict("records")):
        colour = FIRST_STAGE_COLOUR if row["recipe"] == FIRST_STAGE else SYSTEM_COLOUR
        if row["mean"] < left:
            panel.plot(left, height, "<", color=colour, markersize=6, clip_on=False)
            at = left
        else:
            panel.plot([row["low"], row["high"]], [height, height], color=colour, linewidth=2)
            panel.plot(row["mean"], height, "o", color=colour, markersize=6)
            at = row["high"]
        panel.annotate(f"{row['mean']:.3f}", (at, height), (6, 0), textcoords="offset points", va="center", size=9)
        if row["recipe"] == FIRST_STAGE:
            panel.axvline(row["mean"], color=colour, linewidth=1, linestyle="--", zorder=0)
    names = [system_name(row["retriever"], row["backbone"], row["recipe"]) for row in rows.to_dict("records")]
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(-0.6, len(names) - 0.4)
    panel.set_xlim(left, trained["high"].max() + 2.5 * margin)
