"""Which queries a further stage helps and hurts: what changed, and what now stands at the top."""

from collections.abc import Hashable
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow.parquet as pq

from multistage.data.runs import read_run
from multistage.data.tables import read_qrels, read_texts
from multistage.evaluation.comparison import POOLED
from multistage.jobs.files import replacing
from multistage.reporting.names import recipe_name, signed
from multistage.reporting.page import html_page

# Characters of a passage that a page shows.
SHOWN = 300
COLUMNS = ["backbone", "recipe", "parent", "query", "text", "before", "after", "change"]
TOPS = [f"{side}_{what}" for side in ("before", "after") for what in ("passage", "text", "grade")]


class Step(NamedTuple):
    """A further stage: a recipe and the one without its last objective; the runs are those of the first seed."""

    backbone: str
    recipe: str
    parent: str
    run: str
    parent_run: str


def changes(values: pd.DataFrame, retriever: str, step: Step, measure: str) -> pd.DataFrame:
    """Each query's value before and after a stage, means over seeds: index query; columns before, after, change."""
    own = values[(values["retriever"] == retriever) & (values["backbone"] == step.backbone)]
    by_recipe = own.groupby(["recipe", "query"], observed=True, sort=False)[measure].mean()
    table = pd.DataFrame({"before": by_recipe[step.parent], "after": by_recipe[step.recipe]})
    return table.assign(change=table["after"] - table["before"])


def tops(run: str, passages: str | Path, qrels: pd.DataFrame) -> pd.DataFrame:
    """The first passage of every query of a run: index query; columns passage, text, grade (empty where not judged)."""
    first = read_run(run, depth=1)
    wanted = first["passage"].unique().tolist()
    texts = pq.read_table(passages, columns=["id", "text"], filters=[("id", "in", wanted)]).to_pandas().set_index("id")["text"]
    judged = first.merge(qrels, on=["query", "passage"], how="left").set_index("query")
    grade = judged["grade"].map(lambda value: "" if pd.isna(value) else str(int(value)))
    return pd.DataFrame({"passage": judged["passage"], "text": texts.loc[judged["passage"]].to_numpy(), "grade": grade})


def query_view(
    values: pd.DataFrame, retriever: str, steps: list[Step], measure: str, queries: str, passages: str, qrels: str
) -> pd.DataFrame:
    """A row per further stage and query that it changed, the most helped first.

    values: what `measures.evaluate_runs` wrote. Columns: COLUMNS, with values of `measure`, and TOPS: the top passage before
    and after, of the first seed.
    """
    texts = read_texts(queries).set_index("id")["text"]
    judgements = read_qrels(qrels)
    parts = [pd.DataFrame(columns=[*COLUMNS, *TOPS])]
    for step in steps:
        table = changes(values, retriever, step, measure)
        table = table[table["change"] != 0].sort_values("change", ascending=False, kind="stable")
        found = {"before": tops(step.parent_run, passages, judgements), "after": tops(step.run, passages, judgements)}
        for side, top in found.items():
            table = table.join(top.add_prefix(f"{side}_"), how="left")
        names = {"backbone": step.backbone, "recipe": step.recipe, "parent": step.parent}
        parts.append(table.reset_index(names="query").assign(text=lambda rows: texts.loc[rows["query"]].to_numpy(), **names))
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)[[*COLUMNS, *TOPS]]


def as_html(view: pd.DataFrame, benchmark: str, retriever: str, measure: str, examples: int) -> str:
    """A page: for every further stage the queries that it helps and hurts most."""
    parts = [f"<h1>{escape(benchmark)} over {escape(retriever)}: queries that a further stage helps and hurts</h1>"]
    parts.append(
        f"<p>Values are {escape(measure)}, means over seeds; the top passages are the first seed's, with their grade where "
        "they are judged.</p>"
    )
    if view.empty:
        parts.append("<p>No recipe of the grid has a further stage, or none changed a query.</p>")
    for (backbone, recipe, parent), rows in view.groupby([*POOLED[1:], "parent"], sort=False):
        helped, hurt = rows[rows["change"] > 0], rows[rows["change"] < 0].iloc[::-1]
        title = f"{backbone}: {recipe_name(str(recipe))} after {recipe_name(str(parent))}"
        parts.append(f"<h2>{escape(title)}</h2><p>{len(helped):,} queries helped, {len(hurt):,} hurt.</p>")
        for name, chosen in (("Helped most", helped), ("Hurt most", hurt)):
            if len(chosen):
                parts += [f"<h3>{name}</h3>", _table(chosen.head(examples))]
    return html_page(f"{benchmark} over {retriever}: helped and hurt", "\n".join(parts) + "\n")


def write_view(view: pd.DataFrame, page: str, csv: str | Path, html: str | Path) -> None:
    """Write the whole view as CSV and its page."""
    with replacing(csv, html) as files:
        view.to_csv(files[0], index=False, float_format="%.6g")
        files[1].write_text(page, encoding="utf-8")


def _table(rows: pd.DataFrame) -> str:
    head = "<tr><th>Query</th><th>Change</th><th>Top passage before</th><th>Top passage after</th></tr>"
    lines = []
    for row in rows.to_dict("records"):
        change = f"{signed(row['change'])}<br><small>{row['before']:.3f} → {row['after']:.3f}</small>"
        cells = [escape(str(row["text"])), change, *(_passage(row, side) for side in ("before", "after"))]
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<table>\n<thead>{head}</thead>\n<tbody>\n" + "\n".join(lines) + "\n</tbody>\n</table>"


def _passage(row: dict[Hashable, Any], side: str) -> str:
    """A passage, cut, with its grade."""
    if pd.isna(row[f"{side}_passage"]):
        return "no passage"
    text, grade = str(row[f"{side}_text"]), row[f"{side}_grade"]
    cut = escape(text if len(text) <= SHOWN else text[:SHOWN].rsplit(" ", 1)[0] + " …")
    return cut + (f" <small>(grade {grade})</small>" if grade != "" else " <small>(not judged)</small>")
