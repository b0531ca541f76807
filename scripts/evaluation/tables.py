"""The results table as CSV, with every number, and as Markdown, to read."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pandas as pd

from jobs.files import replacing

from .comparison import FIRST_STAGE
from .measures import SYSTEM

ALPHA = 0.05


def system_name(retriever: str, backbone: str, recipe: str, seed: str) -> str:
    """What a table or plot calls a system: `bm25 alone`, `teacher minilm`, `tiny cl→kd`, `tiny cl→kd, fused`."""
    if recipe == FIRST_STAGE:
        return f"{retriever} alone"
    if recipe == "teacher":
        return f"teacher {backbone}"
    stages = recipe.replace("-", "→").replace("+fused", ", fused")
    return f"{backbone} {stages}" + (f", seed {seed}" if seed else "")


def write_tables(table: pd.DataFrame, csv: str | Path, markdown: str | Path) -> None:
    """Write what `comparison.compare` made, both ways."""
    with replacing(csv, markdown) as (csv_file, markdown_file):
        table.to_csv(csv_file, index=False, float_format="%.6g")
        markdown_file.write_text(as_markdown(table), encoding="utf-8")


def read_table(csv: str | Path) -> pd.DataFrame:
    """Read the CSV that `write_tables` wrote."""
    return pd.read_csv(csv, dtype={"backbone": str, "recipe": str, "seed": str}, keep_default_na=False, na_values={"p": [""]})


def as_markdown(table: pd.DataFrame) -> str:
    """One table per benchmark: systems by measures, means, bold where best over a first stage, marks where p < 0.05."""
    several_seeds = table.loc[table["seed"] != "", "seed"].nunique() > 1
    parts = []
    for benchmark, of_benchmark in table.groupby("benchmark", sort=False):
        measures = of_benchmark["measure"].unique()
        queries = of_benchmark["queries"].iloc[0]
        parts.append(f"### {benchmark} ({queries:,} queries)\n")
        parts.append("| First stage | System | " + " | ".join(measures) + " |")
        parts.append("|---|---|" + "---:|" * len(measures))
        best = of_benchmark.groupby(["retriever", "measure"])["mean"].transform("max")
        for system, rows in of_benchmark.assign(best=best).groupby([*SYSTEM], sort=False):
            retriever, backbone, recipe, seed = map(str, system)
            cells = [_cell(row) for row in rows.to_dict("records")]
            name = system_name(retriever, backbone, recipe, seed if several_seeds else "")
            parts.append(f"| {retriever} | {name} | " + " | ".join(cells) + " |")
        parts.append("")
    parts.append(
        f"Means over queries. ▲ above, ▼ below the first stage alone with p < {ALPHA} (paired t-test over queries, "
        "two-sided, not corrected for the number of tests); **bold**: the best over a first stage.\n"
    )
    return "\n".join(parts)


def _cell(row: dict[Hashable, Any]) -> str:
    """A mean with its marks."""
    text = f"**{row['mean']:.3f}**" if row["mean"] == row["best"] else f"{row['mean']:.3f}"
    if row["p"] < ALPHA:
        return f"{text} {'▲' if row['difference'] > 0 else '▼'}"
    return text
