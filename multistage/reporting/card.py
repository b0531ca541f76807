"""Model cards: what a model is, what it was made from and how to load it, as the README.md of its folder and as a page."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

from multistage.config.recipes import last_objective
from multistage.jobs.files import read_json, write_texts
from multistage.reporting.pages import TEMPLATES, html_page, markdown_to_html
from multistage.reporting.plots import plot_training, save

Record = dict[str, Any]


def write_card(
    records: Sequence[str | Path],
    *,
    lineage: dict[str, Any],
    backbone: str,
    readme: str | Path,
    page: str | Path,
    curve: str | Path | None = None,
    fold: str = "",
) -> None:
    """Write a model's card as Markdown and as an HTML page that needs nothing else, and its training curve.

    records: training.json of the model and of its parents, the model's own first and the untrained re-ranker's last.
    lineage: what `lineage.lineage` says of it. curve: an SVG file beside the README; None for the untrained one.
    fold: the number of the model's; empty without folds.
    """
    stages = [read_json(path, "recipe", "seed", "inputs", "versions") for path in records]
    images = {Path(curve).name: curve} if curve else {}
    for file in images.values():
        save(plot_training(records[0]), file)
    body = TEMPLATES.get_template("card.md.jinja").render(
        record=stages[0],
        stages=stages[-2::-1],
        parent=stages[1] if len(stages) > 1 else None,
        parent_folder=os.path.relpath(stages[0].get("parent", "."), Path(readme).parent),
        lineage=lineage,
        backbone=backbone,
        fold=fold,
        folder=Path(readme).parent,
        curve=next(iter(images), None),
    )
    title = body.partition("\n")[0].removeprefix("# ")
    front_matter = f"---\n{_card_data(stages[0], lineage).to_yaml()}\n---\n\n"
    write_texts({readme: f"{front_matter}{body}\n", page: html_page(title, markdown_to_html(body, images))})


def _card_data(record: Record, lineage: dict[str, Any]) -> ModelCardData:
    """The front matter. A licence that the Hub has no identifier for is `other`, with its name."""
    licence = lineage["licence"].lower()
    known = re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", licence) is not None
    loss = record["objective"]["loss"] if "objective" in record else []
    return ModelCardData(
        license=licence if known else "other",
        license_name=None if known else lineage["licence"],
        base_model=lineage["checkpoint"],
        datasets=lineage["data"] or None,
        library_name="sentence-transformers",
        pipeline_tag="text-ranking",
        tags=["cross-encoder", "reranker", *([loss] if isinstance(loss, str) else loss)],
    )


def _cell(value: object) -> str:
    """A value as a cell of a Markdown table, in which text is text: it makes no image, link or emphasis."""
    return re.sub(r"([\\|<>*`[\]])", r"\\\1", " ".join(_words(value).split()))


def _words(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, dict):
        value = [f"{key} {_words(each)}" for key, each in value.items() if each is not None]
    if isinstance(value, list):
        return ", ".join(value) or "nothing"
    return f"{value:g}" if isinstance(value, float) else str(value)


TEMPLATES.filters |= {"cell": _cell, "last_objective": last_objective}
