"""Which queries a further stage helps and hurts: how their values change, and the passages at the top before and after."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import polars as pl

from multistage.data.runs import read_run
from multistage.data.tables import read_qrels, read_texts, texts_of
from multistage.evaluation.measures import read_values
from multistage.jobs.files import write_texts
from multistage.reporting.pages import TEMPLATES

SIDES = ("before", "after")
COLUMNS = ["backbone", "recipe", "parent", "query", "text", *SIDES, "change"]
COLUMNS += [f"{side}_{what}" for side in SIDES for what in ("passage", "text", "grade")]


def write_view(
    values: str | Path,
    runs: Sequence[str | Path],
    *,
    stages: Sequence[tuple[str, str, str]],
    benchmark: str,
    retriever: str,
    measure: str,
    examples: int,
    queries: str | Path,
    passages: str | Path,
    qrels: str | Path,
    csv: str | Path,
    html: str | Path,
) -> None:
    """Write a CSV of the queries that each further stage changes, the most helped first, and a page of those changed most.

    values: what `measures.evaluate_runs` gave. stages: (backbone, recipe, recipe without its last objective) of each further
    stage. runs: for each the run of the one and of the other, with the first seed. examples: queries helped, and queries hurt,
    on the page. The CSV's columns: COLUMNS; before, after and change are means of `measure` over seeds, and the top passages
    are those of `runs`, with an empty grade where they are not judged.
    """
    texts, judgements = read_texts(queries).to_pandas().set_index("id")["text"], read_qrels(qrels)
    parts, shown, measured = [pd.DataFrame(columns=COLUMNS)], [], read_values(values)
    for (backbone, recipe, parent), *tops in zip(stages, runs[1::2], runs[::2], strict=True):
        own = measured[(measured["retriever"] == retriever) & (measured["backbone"] == backbone)]
        means = own.groupby(["query", "recipe"], sort=False)[measure].mean().unstack(sort=False)
        table = means[[parent, recipe]].set_axis(list(SIDES), axis=1)
        table["change"] = table["after"] - table["before"]
        table = table[table["change"] != 0].sort_values("change", ascending=False, kind="stable")
        for side, run in zip(SIDES, tops, strict=True):
            table = table.join(_top_passages(run, passages, judgements).add_prefix(f"{side}_"))
        names = {"backbone": backbone, "recipe": recipe, "parent": parent}
        table = table.assign(text=texts.loc[table.index], **names).reset_index(names="query")[COLUMNS]
        if len(table):
            parts.append(table)
            helped = table["change"] > 0
            shown.append(names | {"helped": table[helped].to_dict("records"), "hurt": table[~helped][::-1].to_dict("records")})
    page = TEMPLATES.get_template("queries.html").render(
        title=f"{benchmark} over {retriever}: helped and hurt",
        benchmark=benchmark,
        retriever=retriever,
        measure=measure,
        examples=examples,
        stages=shown,
    )
    view = pd.concat(parts[1:] or parts, ignore_index=True)
    write_texts({csv: view.to_csv(index=False, float_format="%.6g"), html: page})


def _top_passages(run: str | Path, passages: str | Path, qrels: pl.DataFrame) -> pd.DataFrame:
    """The first passage of each query of a run: index query; columns passage, text, grade (text)."""
    first = read_run(run, depth=1).join(qrels, on=["query", "passage"], how="left")
    text = pl.col("passage").replace_strict(texts_of(passages, first["passage"]), default=None, return_dtype=pl.String)
    grade = pl.col("grade").cast(pl.String).fill_null("")
    return first.select("query", "passage", text.alias("text"), grade).to_pandas().set_index("query")
