"""The table of effectiveness as Markdown, HTML and LaTeX: for each benchmark, systems by measures."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from multistage.config.evaluation import Evaluation
from multistage.config.recipes import FIRST_STAGE, FUSED
from multistage.evaluation.comparison import POOLED
from multistage.jobs.files import read_json, readable, write_texts
from multistage.measures import compares
from multistage.reporting.pages import baseline_name, fixed, markdown_table, system_names, write_tables

# What marks a cell: against the first stage, against the baseline, and on par with the baseline.
BETTER, WORSE, ABOVE, BELOW, EQUIVALENT = "▲", "▼", "↑", "↓", "≈"
LATEX = str.maketrans(
    {character: f"\\{character}" for character in "_%&#${}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {BETTER: r"$\blacktriangle$", WORSE: r"$\blacktriangledown$", ABOVE: r"$\uparrow$", BELOW: r"$\downarrow$"}
    | {EQUIVALENT: r"$\approx$", "→": r"$\rightarrow$", "±": r"$\pm$"}
)
HEADINGS = {"retriever": "First stage", "system": "System"}
TEXT = ("benchmark", "retriever", "backbone", "recipe", "measure", "against", "device", "verdict")


def write_comparison(
    means: pd.DataFrame, differences: pd.DataFrame, means_csv: str | Path, differences_csv: str | Path
) -> None:
    """Write the two tables that `comparison.compare` made, with every digit that counts."""
    tables = {means_csv: means, differences_csv: differences}
    write_texts({path: table.to_csv(index=False, float_format="%.10g") for path, table in tables.items()})


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table of systems: means, differences, costs or curves by depth. Names are text, whatever they look like.

    Raises InputError for a damaged file.
    """
    with readable(path):
        table = pd.read_csv(path, dtype=dict.fromkeys(TEXT, str), keep_default_na=False, na_values=[""])
        if lacking := {*POOLED, "measure"} - {*table}:
            raise ValueError(f"it lacks {', '.join(sorted(lacking))}")
        return table.fillna(dict.fromkeys(TEXT, ""))


def write_effectiveness(
    means: pd.DataFrame,
    differences: pd.DataFrame,
    settings: Evaluation,
    *,
    markdown: str | Path,
    latex: str | Path,
    html: str | Path,
    weights: pd.DataFrame | None = None,
    tuned: str = "",
) -> str:
    """Write the tables of what `comparison.compare` made, three ways. Returns them as Markdown.

    weights: of fused systems, of `fusion.read_weights`. tuned: of `tuned_sentences`, for the end of the note.
    """
    found, below = cells(means, differences, weights), note(means, differences, settings) + tuned
    write_tables("Effectiveness", text := as_markdown(found, below), markdown, html)
    write_texts({latex: as_latex(found, below)})
    return text


def cells(means: pd.DataFrame, differences: pd.DataFrame, weights: pd.DataFrame | None = None) -> pd.DataFrame:
    """The means with what stands in a cell: text, whether it is the best over its first stage, and its marks."""
    system = pd.Series(system_names(means), means.index)
    if weights is not None:
        of_row = means[POOLED].merge(weights, how="left", on=POOLED).set_index(means.index)
        system += [_weight(low, high) for low, high in of_row[["low", "high"]].itertuples(index=False)]
    key = ["benchmark", *POOLED, "measure"]
    marks = [_marks(*row) for row in differences[["verdict", "against"]].itertuples(index=False)]
    by_cell = differences.assign(marks=marks).groupby(key)["marks"].sum().rename("marks")
    over = ["benchmark", "measure", *(["retriever"] if _reranked(means) else [])]
    best = means.groupby(over)["mean"].transform("max") == means["mean"]
    table = means.join(by_cell, on=key).fillna({"marks": ""})
    return table.assign(text=fixed(means["mean"]), best=best & means["measure"].map(compares), system=system)


def as_markdown(found: pd.DataFrame, note: str) -> str:
    """A Markdown table for each benchmark. found: what `cells` gives."""
    bold = found["text"].where(~found["best"], "**" + found["text"] + "**")
    found = found.assign(cell=(bold + " " + found["marks"]).str.rstrip())
    parts = []
    for benchmark, rows in found.groupby("benchmark", sort=False):
        table = _systems_by_measures(rows)
        columns = table.rename_axis(index=HEADINGS.get).reset_index()
        title = f"### {benchmark} ({rows['queries'].iloc[0]:,} queries)"
        parts += [title, "", markdown_table(dict(columns), "l" * table.index.nlevels + "r" * table.shape[1]), ""]
    return "\n".join([*parts, note, ""])


def as_latex(found: pd.DataFrame, note: str) -> str:
    r"""A LaTeX table for each benchmark; it needs `\usepackage{booktabs,amssymb}`. found: what `cells` gives."""
    bold = found["text"].where(~found["best"], r"\textbf{" + found["text"] + "}")
    marks = r"\textsuperscript{" + found["marks"].str.translate(LATEX) + "}"
    names = {name: found[name].str.translate(LATEX) for name in ("retriever", "system", "measure")}
    found = found.assign(cell=bold + marks.where(found["marks"] != "", ""), **names)
    parts = [r"% \usepackage{booktabs,amssymb}"]
    for benchmark, rows in found.groupby("benchmark", sort=False):
        table = _systems_by_measures(rows)
        caption = f"{benchmark}, {rows['queries'].iloc[0]} queries. {note}".replace("**", "").translate(LATEX)
        text = table.style.hide(names=True).to_latex(
            caption=caption,
            column_format="l" * table.index.nlevels + "r" * table.shape[1],
            hrules=True,
            multirow_align="naive",
            position_float="centering",
        )
        parts.append(text)
    return "\n".join(parts)


def _systems_by_measures(rows: pd.DataFrame) -> pd.DataFrame:
    """The cells of a benchmark's table: index first stage (where any is known), system; a column for each measure."""
    index = list(HEADINGS) if rows["retriever"].any() else ["system"]
    return rows.set_index([*index, "measure"])["cell"].unstack(sort=False).rename_axis(columns=None)


def _weight(low: float, high: float) -> str:
    """The re-ranker's weight in a fused system, which differs between seeds; nothing for other systems."""
    if pd.isna(low):
        return ""
    alone = {0.0: ": the first stage alone", 1.0: ": the re-ranker alone"}.get(low, "")
    return f" (weight {low:g} to {high:g})" if low < high else f" (weight {low:g}{alone})"


def _marks(verdict: str, against: str) -> str:
    """The marks of a verdict, such as "better, by less than the margin"."""
    word, _, within = verdict.partition(",")
    if against == FIRST_STAGE:
        return {"better": BETTER, "worse": WORSE}.get(word, "")
    return {"better": ABOVE, "worse": BELOW, "equivalent": EQUIVALENT}.get(word, "") + EQUIVALENT * bool(within)


def note(means: pd.DataFrame, differences: pd.DataFrame, settings: Evaluation) -> str:
    """What the numbers and marks mean, in plain words."""
    seeds = means["seeds"].max()
    lines = [
        "Means over queries" + (f" and {seeds} seeds" if seeds > 1 else "") + ".",
        "**Bold**: the best" + (" over a first stage." if _reranked(means) else "."),
    ]
    if means["recipe"].str.endswith(FUSED).any():
        lines.append("Fused: first stage's and re-ranker's scores; the weight is the latter's, the best on validation queries.")
    if (differences["against"] == FIRST_STAGE).any():
        lines.append(f"{BETTER} better, {WORSE} worse than the first stage alone.")
    if (differences["against"] != FIRST_STAGE).any():
        whose = "the same backbone's " if means["backbone"].any() else ""
        lines.append(
            f"{ABOVE} better, {BELOW} worse than {whose}{baseline_name(means, settings)}; {EQUIVALENT} equivalent: the "
            f"difference from it lies within ±{settings.margin:g} (two one-sided tests). Without any of these marks a "
            "comparison is undecided, which does not mean on par."
        )
    test = (
        "t-tests with queries and seeds as random effects"
        if seeds > 1
        else "paired t-tests over queries, with one seed: they say nothing about training again"
    )
    if not differences.empty:
        lines.append(
            f"Tests are at the level {1 - settings.confidence:.2g} ({test}). In each column Holm's method corrects all tests "
            "of a kind together: those against first stages, those against the baseline, those of equivalence."
        )
    return " ".join(lines)


def _reranked(means: pd.DataFrame) -> bool:
    """Whether there is more over a first stage than itself."""
    return bool((means["retriever"].ne("") & means["recipe"].ne(FIRST_STAGE)).any())


def tuned_sentences(retrievers: Sequence[str], files: Sequence[str], queryset: str) -> str:
    """What was chosen for each retriever, in a sentence each, to be put behind others.

    files: what `tuning.tune_bm25` wrote. queryset: the validation queries.
    """
    sentences = []
    for retriever, path in zip(retrievers, files, strict=True):
        chosen = read_json(path, "k1", "b", "mean", "untuned", "measure", "queries", "tried")
        untuned = chosen["untuned"]
        sentences.append(
            f" {retriever}: k1 {chosen['k1']:g} and b {chosen['b']:g} were chosen from {len(chosen['tried'])} pairs on the "
            f"{chosen['queries']:,} queries of {queryset} ({chosen['measure']} {chosen['mean']:.3f} there; untuned, with k1 "
            f"{untuned['k1']:g} and b {untuned['b']:g}, {untuned['mean']:.3f})."
        )
    return "".join(sentences)
