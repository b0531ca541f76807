"""The table of effectiveness as Markdown, HTML and LaTeX, each benchmark a table of systems by measures."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from multistage.config.recipes import FIRST_STAGE
from multistage.evaluation.comparison import POOLED, Criteria
from multistage.jobs.files import replacing
from multistage.measures import compares
from multistage.reporting.names import recipe_name, system_name
from multistage.reporting.page import html_page, markdown_to_html

# What marks a cell: against the first stage, against the baseline, and on par with the baseline; in Markdown and in LaTeX.
BETTER, WORSE, ABOVE, BELOW, EQUIVALENT = "▲", "▼", "↑", "↓", "≈"
IN_LATEX = {
    BETTER: r"\blacktriangle",
    WORSE: r"\blacktriangledown",
    ABOVE: r"\uparrow",
    BELOW: r"\downarrow",
    EQUIVALENT: r"\approx",
    "→": r"$\rightarrow$",
}


def write_comparison(
    means: pd.DataFrame, differences: pd.DataFrame, means_csv: str | Path, differences_csv: str | Path
) -> None:
    """Write the two tables that `comparison.compare` made, with every digit that counts."""
    with replacing(means_csv, differences_csv) as files:
        for table, file in zip((means, differences), files, strict=True):
            table.to_csv(file, index=False, float_format="%.10g")


def read_means(path: str | Path) -> pd.DataFrame:
    """Read the CSV of the first table that `comparison.compare` made."""
    return pd.read_csv(path, keep_default_na=False, na_values={"seed_sd": [""]}, dtype={"backbone": str, "recipe": str})


def read_differences(path: str | Path) -> pd.DataFrame:
    """Read the CSV of the second."""
    return pd.read_csv(path, keep_default_na=False, dtype={"backbone": str, "recipe": str})


def cells(means: pd.DataFrame, differences: pd.DataFrame) -> pd.DataFrame:
    """A row for each cell of the tables: what stands in it, whether it is the best over its first stage, and its marks."""
    key = ["benchmark", *POOLED, "measure"]
    best = means.groupby(["benchmark", "retriever", "measure"])["mean"].transform("max")
    marks: dict[tuple[str, ...], str] = {}
    for row in differences.to_dict("records"):
        place = tuple(row[name] for name in key)
        marks[place] = marks.get(place, "") + _marks(str(row["verdict"]), row["against"] == FIRST_STAGE)
    found = [marks.get(place, "") for place in means[key].itertuples(index=False, name=None)]
    tested = means["measure"].map(compares)
    return means.assign(text=means["mean"].map("{:.3f}".format), best=(means["mean"] == best) & tested, marks=found)


def _marks(verdict: str, first_stage: bool) -> str:
    up, down = (BETTER, WORSE) if first_stage else (ABOVE, BELOW)
    mark = up if verdict.startswith("better") else down if verdict.startswith("worse") else ""
    on_par = verdict == "equivalent" or verdict.endswith("the margin")
    return mark + (EQUIVALENT if on_par and not first_stage else "")


def note(means: pd.DataFrame, differences: pd.DataFrame, criteria: Criteria) -> str:
    """What the numbers and marks mean, in plain words."""
    alpha = 1 - criteria.resampling.confidence
    seeds = means["seeds"].max()
    lines = [
        "Means over queries" + (f" and {seeds} seeds" if seeds > 1 else "") + ".",
        f"**Bold**: the best over a first stage. {BETTER} better, {WORSE} worse than the first stage alone.",
    ]
    if (differences["against"] != FIRST_STAGE).any():
        lines.append(
            f"{ABOVE} better, {BELOW} worse than the same backbone's {recipe_name(str(criteria.baseline))}; {EQUIVALENT} "
            f"equivalent: the difference from it lies within ±{criteria.margin:g} (two one-sided tests). No such mark: "
            "undecided, which is not on par."
        )
    test = (
        "t-tests with queries and seeds as random effects"
        if seeds > 1
        else "paired t-tests over queries, with one seed: they say nothing about training again"
    )
    lines.append(f"All at the level {alpha:.2g} ({test}), with Holm's correction for all tests behind a mark in a column.")
    return " ".join(lines)


def as_markdown(found: pd.DataFrame, explanation: str) -> str:
    """One Markdown table per benchmark. found: what `cells` gives."""
    parts = []
    for benchmark, rows in found.groupby("benchmark", sort=False):
        measures = list(rows["measure"].unique())
        parts.append(f"### {benchmark} ({rows['queries'].iloc[0]:,} queries)\n")
        parts.append("| First stage | System | " + " | ".join(measures) + " |")
        parts.append("|---|---|" + "---:|" * len(measures))
        for (retriever, name), line in _lines(rows, measures):
            texts = [f"{'**' if best else ''}{text}{'**' if best else ''} {marks}".strip() for text, best, marks in line]
            parts.append(f"| {retriever} | {name} | " + " | ".join(texts) + " |")
        parts.append("")
    return "\n".join([*parts, explanation, ""])


def as_latex(found: pd.DataFrame, explanation: str) -> str:
    r"""One LaTeX table per benchmark, with booktabs; `\usepackage{booktabs,amssymb}` is all that it needs."""
    parts = [r"% \usepackage{booktabs,amssymb}"]
    for benchmark, rows in found.groupby("benchmark", sort=False):
        measures = list(rows["measure"].unique())
        parts += [r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{ll{'r' * len(measures)}}}", r"\toprule"]
        parts.append(" & ".join(["First stage", "System", *map(_latex, measures)]) + r" \\")
        before = None
        for (retriever, name), line in _lines(rows, measures):
            parts += [r"\midrule"] if retriever != before else []
            texts = [rf"\textbf{{{text}}}" if best else text for text, best, _ in line]
            signs = ["".join(IN_LATEX[mark] for mark in marks) for _, _, marks in line]
            texts = [text + (f"$^{{{sign}}}$" if sign else "") for text, sign in zip(texts, signs, strict=True)]
            parts.append(" & ".join([_latex(retriever) if retriever != before else "", _latex(name), *texts]) + r" \\")
            before = retriever
        caption = _latex(f"{benchmark}, {rows['queries'].iloc[0]} queries. {explanation}".replace("**", ""))
        parts += [r"\bottomrule", r"\end{tabular}", rf"\caption{{{caption}}}", r"\end{table}", ""]
    return "\n".join(parts)


def write_tables(
    means: pd.DataFrame,
    differences: pd.DataFrame,
    criteria: Criteria,
    markdown: str | Path,
    latex: str | Path,
    html: str | Path,
) -> None:
    """Write the tables of what `comparison.compare` made, three ways."""
    found, explanation = cells(means, differences), note(means, differences, criteria)
    text = as_markdown(found, explanation)
    with replacing(markdown, latex, html) as files:
        files[0].write_text(text, encoding="utf-8")
        files[1].write_text(as_latex(found, explanation), encoding="utf-8")
        files[2].write_text(html_page("Effectiveness", "<h1>Effectiveness</h1>\n" + markdown_to_html(text)), encoding="utf-8")


def _lines(rows: pd.DataFrame, measures: list[str]) -> Iterator[tuple[tuple[str, str], list[tuple[str, bool, str]]]]:
    """Each system's first stage and name, and its (text, best, marks) by measure."""
    for key, own in rows.groupby(POOLED, sort=False):
        retriever, backbone, recipe = map(str, key)
        by_measure = own.set_index("measure").loc[measures]
        line = list(by_measure[["text", "best", "marks"]].itertuples(index=False, name=None))
        yield (retriever, system_name(retriever, backbone, recipe)), line


def _latex(text: str) -> str:
    """Text with what LaTeX would take for a command escaped."""
    escaped = "".join(
        {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}.get(c, c) for c in text
    )
    for character in "_%&#$":
        escaped = escaped.replace(character, f"\\{character}")
    for mark, command in IN_LATEX.items():
        escaped = escaped.replace(mark, command if command.startswith("$") else f"${command}$")
    return escaped.replace("±", r"$\pm$")
