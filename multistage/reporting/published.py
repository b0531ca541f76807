"""Our results beside published ones."""

from pathlib import Path

import pandas as pd
import polars as pl

from multistage.data.packed import plain_file
from multistage.jobs.errors import InputError
from multistage.jobs.files import write_texts
from multistage.reporting.pages import fixed, markdown_table, system_names

KEY = ["benchmark", "retriever", "backbone", "recipe", "measure"]
COLUMNS = ["backbone", "recipe", "retriever", "benchmark", "measure", "value"]


def read_published(path: str | Path) -> pd.DataFrame:
    """Published results: columns backbone, recipe, retriever, benchmark, measure (text) and value.

    The recipe of a first stage is `first-stage`. Raises InputError: other columns, a value that is not a number from 0 to 1, a
    result given twice.
    """
    expected = f"expected a CSV file with the columns {', '.join(COLUMNS)}"
    try:
        with plain_file(path) as file:
            table = pl.read_csv(file, infer_schema=False).fill_null("").to_pandas()
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path}: {expected}, and this cannot be read ({str(error).partition(chr(10))[0]}).") from error
    if list(table.columns) != COLUMNS:
        raise InputError(f"{path}: {expected}, found {', '.join(table.columns)}.")
    values = pd.to_numeric(table["value"], errors="coerce")
    for line in table.index[~values.between(0, 1) | table.duplicated(KEY)]:
        row = ",".join(table.iloc[line])
        raise InputError(f"{path}, line {line + 2}: expected a value from 0 to 1, once for each result; found {row}.")
    return table.assign(value=values)


def write_beside(table: pd.DataFrame, path: str | Path, csv: str | Path, markdown: str | Path) -> None:
    """Write our means for which there is a published value as CSV and as Markdown, a table for each benchmark and measure.

    table: the means that `comparison.compare` made. path: of the published results. The CSV's columns: those of KEY, seeds,
    queries, mean, low, high, published, gap (ours less theirs). Raises InputError when they have no result in common.
    """
    ours = table[[*KEY, "seeds", "queries", "mean", "low", "high"]]
    both = ours.merge(read_published(path).rename(columns={"value": "published"}), on=KEY, how="inner")
    if both.empty:
        raise InputError(f"{path}: no result is of this grid; set evaluation.reference to null.")
    both["gap"] = both["mean"] - both["published"]
    parts = []
    for (benchmark, measure), rows in both.groupby(["benchmark", "measure"], sort=False):
        columns = {
            "First stage": rows["retriever"],
            "System": system_names(rows),
            "Ours": fixed(rows["mean"], 4),
            "Interval": fixed(rows["low"], 4) + " to " + fixed(rows["high"], 4),
            "Published": fixed(rows["published"], 4),
            "Difference": rows["gap"].map("{:+.4f}".format),
        }
        title = f"### {benchmark}, {measure} ({rows['queries'].iloc[0]:,} queries)"
        parts += [title, "", markdown_table(columns, "llrrrr"), ""]
    inside = both["published"].between(both["low"], both["high"]).sum()
    parts.append(
        f"{len(both)} results beside their published values; mean absolute difference {both['gap'].abs().mean():.4f}; "
        f"{inside} published values lie in our interval.\n"
    )
    write_texts({csv: both.to_csv(index=False, float_format="%.6g"), markdown: "\n".join(parts)})
