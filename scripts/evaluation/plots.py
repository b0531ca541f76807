"""Plots: effectiveness by recipe and first stage, with confidence intervals."""

from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.axes import Axes

from jobs.files import replacing

from .comparison import FIRST_STAGE, UNTRAINED
from .tables import system_name

matplotlib.use("svg")
matplotlib.rcParams.update(
    {"svg.hashsalt": "effectiveness", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
)
FIRST_STAGE_COLOUR, SYSTEM_COLOUR = "#555555", "#0072B2"  # Okabe & Ito's palette: told apart by the colour-blind


def plot_effectiveness(table: pd.DataFrame, measure: str, confidence: float, svg: str | Path, png: str | Path) -> None:
    """A panel per benchmark and first stage: the mean of `measure` of every system with its interval.

    table: what `comparison.compare` made. The first stage's mean is the dashed line.
    """
    from matplotlib import pyplot

    chosen = table[table["measure"] == measure]
    benchmarks, retrievers = chosen["benchmark"].unique(), chosen["retriever"].unique()
    several_seeds = chosen.loc[chosen["seed"] != "", "seed"].nunique() > 1
    systems = chosen.groupby(["benchmark", "retriever"]).size().max()
    figure, panels = pyplot.subplots(
        len(benchmarks),
        len(retrievers),
        figsize=(1 + 3.6 * len(retrievers), (0.9 + 0.32 * systems) * len(benchmarks)),
        squeeze=False,
        layout="constrained",
    )
    for line, benchmark in enumerate(benchmarks):
        for column, retriever in enumerate(retrievers):
            rows = chosen[(chosen["benchmark"] == benchmark) & (chosen["retriever"] == retriever)].iloc[::-1]
            panel = panels[line, column]
            _draw_systems(panel, rows, several_seeds)
            panel.set_title(f"{benchmark}, over {retriever}", size=10)
            panel.set_xlabel(f"{measure} (mean, {confidence:.0%} interval)")
    with replacing(svg, png) as (svg_file, png_file):
        figure.savefig(svg_file, metadata={"Date": None})
        figure.savefig(png_file, dpi=160)
    pyplot.close(figure)


def _draw_systems(panel: Axes, rows: pd.DataFrame, several_seeds: bool) -> None:
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
    names = [
        system_name(row["retriever"], row["backbone"], row["recipe"], row["seed"] if several_seeds else "")
        for row in rows.to_dict("records")
    ]
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(-0.6, len(names) - 0.4)
    panel.set_xlim(left, trained["high"].max() + 2.5 * margin)
