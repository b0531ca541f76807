"""The answer to the question that the grid asks: is the baseline on par with recipes of more stages?"""

import pandas as pd

from multistage.config import Evaluation
from multistage.config.recipes import FIRST_STAGE, FUSED
from multistage.evaluation.comparison import POOLED
from multistage.reporting.pages import fixed, markdown_table, recipe_name, signed, system_names

# Stands before everything else where there is one seed. The shares are those of `python -m benchmarks.coverage`.
ONE_SEED = (
    "**One seed: this speaks of these models, not of their recipes.** Where models of one recipe differ by 0.01, 13% of such "
    "tests with 200 queries and 33% with 1,000 find a difference between equal recipes.\n\n"
)

# What is said of a system, {} being the baseline.
VERDICTS = {
    "better": "better than {}",
    "worse": "worse than {}",
    "equivalent": "equivalent to {}",
    "undecided": "neither shown to differ from {} nor to be equivalent to it",
}


def answer(means: pd.DataFrame, differences: pd.DataFrame, settings: Evaluation, measure: str) -> str:
    """The answer as Markdown: a paragraph, the comparisons behind it, and how to read them.

    means, differences: what `comparison.compare` made. measure: the one that decides.
    """
    chosen = differences[(differences["measure"] == measure) & (differences["against"] != FIRST_STAGE)]
    staged = chosen[chosen["recipe"].str.contains("-") & ~chosen["recipe"].str.endswith(FUSED)]
    relevant = staged if len(staged) else chosen
    name, seeds = recipe_name(str(settings.baseline)), int(means["seeds"].max())
    warning = ONE_SEED if seeds == 1 else ""
    if relevant.empty:
        reason = f"This grid has no recipe to compare with the baseline {name}." if settings.baseline else "No baseline is set."
        return f"{warning}{reason} The table of effectiveness has every system beside its first stage.\n"
    others = "recipes of more stages" if len(staged) else "the other recipes"
    found = set(relevant["verdict"])
    # The baseline is on par or ahead where every other is equivalent or worse.
    short = "No" if "better" in found else "Not settled" if "undecided" in found else "Yes"
    verdicts = in_words(relevant, relevant["recipe"].map(recipe_name), name, settings.margin)
    paragraph = f"**Is {name} alone on par with {others}? {short}.** By {measure}, {verdicts} {_basis(relevant, seeds)}"
    return f"{warning}{paragraph}\n\n{comparisons_table(chosen, means, name)}\n\n{how_to_read(seeds, settings)}\n"


def in_words(rows: pd.DataFrame, names: pd.Series, baseline: str, margin: float) -> str:
    """What comparisons with the baseline found, a clause for each name: `kd→cl is better than cl in both comparisons`."""
    clauses = []
    for name, own in rows.groupby(names, sort=False):
        found = own["verdict"].str.split(", ", expand=True).reindex(columns=[0, 1])
        parts = []
        for word, within in found.groupby(0, sort=False)[1]:
            where, small = _of(len(within), len(own)), within.notna().sum()
            reach = f"by less than {margin:g}" if small == len(within) else f"by less than {margin:g} in {small} of them"
            parts.append(f"{VERDICTS[str(word)].format(baseline)}{where}" + (f", {reach}" if small else ""))
        span = " to ".join(dict.fromkeys([signed(own["difference"].min()), signed(own["difference"].max())]))
        clauses.append(f"{name} is {' and '.join(parts)} ({span})")
    return "; ".join(clauses) + "."


def _of(count: int, total: int) -> str:
    """In how many comparisons, in words."""
    if count < total:
        return f" in {count} of {total} comparisons"
    return {1: "", 2: " in both comparisons"}.get(total, f" in all {total} comparisons")


def comparisons_table(chosen: pd.DataFrame, means: pd.DataFrame, baseline: str) -> str:
    """Comparisons with the baseline by one measure, as a Markdown table."""
    measure = chosen["measure"].iloc[0]
    rows = chosen.merge(means[["benchmark", *POOLED, "measure", "mean"]], on=["benchmark", *POOLED, "measure"])
    first = {"First stage": rows["retriever"]} if rows["retriever"].any() else {}
    return markdown_table(
        {
            "Benchmark": rows["benchmark"],
            **first,
            "System": system_names(rows),
            measure: fixed(rows["mean"]),
            baseline: fixed(rows["mean"] - rows["difference"]),
            "Difference": rows["difference"].map(signed),
            "Interval": rows["low"].map(signed) + " to " + rows["high"].map(signed),
            "p": rows["p_holm"].map(_p),
            "p, equivalence": rows["p_equivalence_holm"].map(_p),
            "Verdict": rows["verdict"],
        },
        "l" * (2 + len(first)) + "rrrrrrl",
    )


def _basis(rows: pd.DataFrame, seeds: int) -> str:
    benchmarks, stages = (" and ".join(rows[name].unique()) for name in ("benchmark", "retriever"))
    queries = " to ".join(dict.fromkeys([f"{rows['queries'].min():,}", f"{rows['queries'].max():,}"]))
    trained = "one seed" if seeds == 1 else f"{seeds} seeds"
    return f"This is on {benchmarks}, over {stages}: {queries} queries, {trained} of each recipe."


def how_to_read(seeds: int, settings: Evaluation) -> str:
    scope = (
        "Queries and seeds are both random in these tests: a verdict holds for training again, and for other such queries."
        if seeds > 1
        else "With one seed a verdict holds for these models."
    )
    return (
        f"Interval: the {settings.confidence:.0%} interval of the difference. *Better* and *worse*: the difference "
        f"is not zero. *Equivalent*: it is smaller than ±{settings.margin:g}, tested from both sides. *Undecided*: neither "
        "could be shown, which does not mean on par. p-values, and so verdicts, are adjusted for all comparisons with the "
        "baseline on a benchmark (Holm); intervals are not: an interval may leave out zero where the verdict is *undecided*. "
        f"{scope}"
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"
