"""The answer to the question that the grid asks: is the baseline on par with recipes of more stages?"""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pandas as pd

from multistage.config.recipes import FIRST_STAGE, FUSED
from multistage.evaluation.comparison import Criteria
from multistage.jobs.files import replacing
from multistage.reporting.names import recipe_name, signed, system_name


def answer(means: pd.DataFrame, differences: pd.DataFrame, criteria: Criteria, measure: str) -> str:
    """Markdown: a paragraph with the answer by one measure, the comparisons behind it, and how to read them.

    means, differences: what `comparison.compare` made.
    """
    chosen = differences[(differences["measure"] == measure) & (differences["against"] != FIRST_STAGE)]
    staged = chosen[chosen["recipe"].map(_has_stages)]
    shown = staged if len(staged) else chosen
    seeds = int(means["seeds"].max())
    name = recipe_name(str(criteria.baseline))
    if shown.empty:
        first = f"This grid has no recipe to compare with the baseline {name}." if criteria.baseline else "No baseline is set."
        return f"{first} The table of effectiveness has every system beside its first stage.\n"
    verdicts = [_recipe(recipe, rows, criteria.margin) for recipe, rows in shown.groupby("recipe", sort=False)]
    kind = "on par with recipes of more stages" if len(staged) else "on par with the other recipes"
    question = f"Is {name} alone {kind}? {_short(set(shown['verdict']))}: by {measure}, "
    paragraph = f"**{question}{'; '.join(verdicts)}.** {_basis(shown, seeds)}"
    head = f"| Benchmark | First stage | Recipe | {measure} | {name} | Difference | Interval | p | p, equivalence | Verdict |"
    lines = [_comparison(row, means) for row in chosen.to_dict("records")]
    return "\n".join([paragraph, "", head, "|---|---|---|" + "---:|" * 6 + "---|", *lines, "", _reading(seeds, criteria), ""])


def write_answer(text: str, output: str | Path) -> None:
    """Write it."""
    with replacing(output) as (partial,):
        partial.write_text(text, encoding="utf-8")


def _has_stages(recipe: str) -> bool:
    return "-" in recipe and not recipe.endswith(FUSED)


def _comparison(row: dict[Hashable, Any], means: pd.DataFrame) -> str:
    """One comparison as a row of the table."""
    place = ["benchmark", "retriever", "backbone", "measure"]
    at = (means[place] == [row[name] for name in place]).all(axis=1)
    own, other = (means.loc[at & (means["recipe"] == recipe), "mean"].item() for recipe in (row["recipe"], row["against"]))
    system = system_name(row["retriever"], row["backbone"], row["recipe"])
    interval = f"{signed(row['low'])} to {signed(row['high'])}"
    cells = [row["benchmark"], row["retriever"], system, f"{own:.3f}", f"{other:.3f}", signed(row["difference"]), interval]
    return f"| {' | '.join([*cells, _p(row['p_holm']), _p(row['p_equivalence_holm'])])} | {row['verdict']} |"


def _short(verdicts: set[str]) -> str:
    """The answer in a word. The baseline is on par or ahead where every other is equivalent or worse."""
    if "better" in verdicts:
        return "No"
    return "Not settled" if "undecided" in verdicts else "Yes"


def _recipe(recipe: object, rows: pd.DataFrame, margin: float) -> str:
    """`kd→cl is better in 2 of 2 comparisons (+0.010 to +0.013)`."""
    counts = rows["verdict"].value_counts()
    words = {"equivalent": f"equivalent within ±{margin:g}"}
    found = [f"{words.get(str(verdict), str(verdict))} in {count}" for verdict, count in counts.items()]
    low, high = signed(rows["difference"].min()), signed(rows["difference"].max())
    span = low if low == high else f"{low} to {high}"
    return f"{recipe_name(str(recipe))} is {' and '.join(found)} of {len(rows)} comparison{'s' * (len(rows) > 1)} ({span})"


def _basis(rows: pd.DataFrame, seeds: int) -> str:
    names = [f"{rows[key].nunique()} {word}" for key, word in (("benchmark", "benchmark"), ("retriever", "first stage"))]
    counted = [f"{name}{'' if name.startswith('1 ') else 's'}" for name in names]
    low, high = rows["queries"].min(), rows["queries"].max()
    queries = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    trained = f"{seeds} seeds of each recipe" if seeds > 1 else "one seed of each recipe"
    return f"{' and '.join(counted)}, {queries} queries, {trained}."


def _reading(seeds: int, criteria: Criteria) -> str:
    random = (
        "Queries and seeds are both random in these tests: a verdict holds for training again, and for other such queries."
        if seeds > 1
        else "With one seed a verdict holds for these models: how much another seed would change is not known."
    )
    return (
        f"Interval: the difference's, {criteria.resampling.confidence:.0%}. *Better* and *worse*: it is not "
        f"zero. *Equivalent*: it is smaller than ±{criteria.margin:g}, tested both ways. *Undecided*: neither could be "
        f"shown, which is no sign of being on par. p-values are adjusted for all comparisons with the baseline on a "
        f"benchmark (Holm). {random}"
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"
