"""The training curve of a stage as SVG: loss, agreement with the target order, nDCG@10 on the validation set."""

from pathlib import Path
from typing import Any

from matplotlib import pyplot
from matplotlib.axes import Axes

from multistage.jobs.files import replacing
from multistage.reporting.style import BLUE, GREEN, GREY, METADATA, VERMILION

Points = list[dict[str, float]]


def draw_curve(record: dict[str, Any], svg: str | Path) -> None:
    """Draw what a stage's training.json holds. The circle marks the step whose weights are the model's."""
    figure, panels = pyplot.subplots(1, 3, figsize=(9, 2.6), layout="constrained")
    loss, validation, exported = record["loss"], record["validation"], record["exported"]["step"]
    _line(panels[0], loss, "loss", "Loss (training)", VERMILION, "s")
    _line(panels[1], loss, "kendall_tau", "Agreement with the target order\n(training, Kendall's tau)", GREEN, "^")
    _line(panels[2], validation, "ndcg@10", "nDCG@10 (validation)", BLUE, "o")
    for point in validation:
        if point["step"] == exported:
            panels[2].plot(exported, point["ndcg@10"], "o", markersize=11, markerfacecolor="none", color=GREY)
    for panel in panels:
        panel.set_xlabel("Step")
        panel.set_xlim(left=0, right=1.06 * max(point["step"] for point in validation))
        panel.xaxis.get_major_locator().set_params(integer=True)
    with replacing(svg) as (file,):
        figure.savefig(file, metadata=METADATA)
    pyplot.close(figure)


def _line(panel: Axes, points: Points, key: str, title: str, colour: str, marker: str) -> None:
    steps, values = [point["step"] for point in points], [point[key] for point in points]
    panel.plot(steps, values, color=colour, marker=marker if len(points) < 40 else "")
    panel.set_title(title)
