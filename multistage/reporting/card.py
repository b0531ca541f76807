"""Model cards: what a model is, what made it and how to load it, as the README.md of its folder and as a page."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData
from jinja2 import Environment, StrictUndefined

from multistage.config.recipes import last_objective
from multistage.jobs.files import replacing
from multistage.reporting.page import html_page, markdown_to_html

Record = dict[str, Any]
TEMPLATE = Path(__file__).with_name("card.md.jinja")
# What a card calls the settings of an objective, and those of a pair.
SETTINGS = {
    "loss": "Loss",
    "group_size": "Passages in a group",
    "queries_per_step": "Groups in a step",
    "learning_rate": "Peak learning rate",
    "schedule": "Schedule",
    "warmup": "Warm-up, share of the steps",
    "weight_decay": "Weight decay",
    "max_gradient_norm": "Gradient norm, at most",
}
PAIR_SETTINGS = {
    "max_length": "Tokens of a pair, at most",
    "max_query_length": "Tokens of a query, at most",
    "dropout": "Dropout in training",
    "frozen": "Not trained",
}


def write_card(
    records: Sequence[str | Path],
    lineage: dict[str, Any],
    backbone: str,
    readme: str | Path,
    page: str | Path,
    curve: str | Path | None,
) -> None:
    """Write a model's card as Markdown and as an HTML page that needs nothing else.

    records: training.json of the model and of its parents, the model's own first and the untrained re-ranker's last.
    lineage: what `lineage.lineage` says of it. curve: its training curve, beside the README; None for the untrained one.
    """
    stages = [json.loads(Path(path).read_text(encoding="utf-8")) for path in records]
    body = _body(stages, lineage, backbone, str(Path(readme).parent), Path(curve).name if curve else None)
    card = ModelCard(f"---\n{_card_data(stages[0], lineage).to_yaml()}\n---\n\n{body}")
    with replacing(readme, page) as (readme_file, page_file):
        readme_file.write_text(f"{card.content.rstrip()}\n", encoding="utf-8")
        html = markdown_to_html(card.text, folder=Path(readme).parent)
        page_file.write_text(html_page(_title(backbone, stages[0]), html), encoding="utf-8")


def _card_data(record: Record, lineage: dict[str, Any]) -> ModelCardData:
    """The front matter. A licence that is no identifier of the Hub's is `other`, with its name."""
    licence = lineage["licence"].lower()
    known = re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", licence) is not None
    losses = [record["objective"]["loss"]] if "objective" in record else []
    return ModelCardData(
        license=licence if known else "other",
        license_name=None if known else lineage["licence"],
        base_model=lineage["checkpoint"],
        datasets=lineage["data"] or None,
        library_name="sentence-transformers",
        pipeline_tag="text-ranking",
        tags=["cross-encoder", "reranker", *losses],
    )


def _body(records: list[Record], lineage: dict[str, Any], backbone: str, folder: str, curve: str | None) -> str:
    record, trained = records[0], records[-2::-1]
    environment = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined, autoescape=False)  # noqa: S701
    environment.filters["cell"] = lambda text: str(text).replace("|", "\\|")
    pair = record.get("backbone", {})
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        title=_title(backbone, record),
        summary=_summary(records, lineage),
        curve=curve,
        record=record,
        steps=record["validation"][-1]["step"] if trained else 0,
        folder=folder,
        recipe=record["recipe"].replace("-", "→"),
        backbone=backbone,
        parent=_parent(records, backbone),
        pair_settings={name: _plain(pair[key]) for key, name in PAIR_SETTINGS.items() if key in pair},
        settings=["Length", *SETTINGS.values()],
        stages=[_stage(stage) for stage in trained],
        total=_total(trained),
        shared=any(stage["run"]["processes"] > 1 for stage in trained),
        lineage=lineage,
    )


def _title(backbone: str, record: Record) -> str:
    return f"{backbone} {record['recipe'].replace('-', '→')}, seed {record['seed']}"


def _summary(records: list[Record], lineage: dict[str, Any]) -> str:
    what = f"A cross-encoder that re-ranks passages for a query: {lineage['checkpoint']}"
    stages = [f"{last_objective(record['recipe'])} ({record['objective']['loss']})" for record in records[-2::-1]]
    if not stages:
        return f"{what} before any fine-tuning, where every recipe starts. Its scores mean nothing yet."
    if len(stages) == 1:
        return f"{what}, fine-tuned in one stage, {stages[0]}."
    return f"{what}, fine-tuned in {len(stages)} stages, first {', then '.join(stages)}."


def _parent(records: list[Record], backbone: str) -> str:
    """The parent, with a link to its card; of the untrained re-ranker, the checkpoint."""
    if len(records) == 1:
        return f"the checkpoint `{records[0]['parent']}`"
    parent = records[1]
    return f"[{_title(backbone, parent)}](../../{parent['recipe']}/seed{parent['seed']}/README.md)"


def _stage(record: Record) -> dict[str, Any]:
    objective, run = record["objective"], record["run"]
    steps, epochs = record["validation"][-1]["step"], objective["epochs"]
    length = f"{steps:,} steps" + (f" ({epochs:g} epochs)" if epochs else "")
    return {
        "name": last_objective(record["recipe"]),
        "settings": {"Length": length} | {name: _plain(objective[key]) for key, name in SETTINGS.items()},
        "cost": [
            f"{record['seconds']:,.1f}",
            f"{record['pairs']:,}",
            f"{record['tokens']:,}",
            f"{record['pairs_per_second']:,.0f}",
            f"{run['device']}, {run['processes']} {'process' if run['processes'] == 1 else 'processes'}",
        ],
    }


def _total(records: list[Record]) -> list[str]:
    seconds = sum(record["seconds"] for record in records)
    pairs, tokens = (sum(record[key] for record in records) for key in ("pairs", "tokens"))
    return [f"{seconds:,.1f}", f"{pairs:,}", f"{tokens:,}", "", ""]


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "nothing"
    return f"{value:g}" if isinstance(value, float) else str(value)
