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
    verdicts = "; ".join(
        _verdicts(str(recipe), rows, settings.margin) for recipe, rows in relevant.groupby("recipe", sort=False)
    )
    found = set(relevant["verdict"])
    # The baseline is on par or ahead where every other is equivalent or worse.
    short = "No" if "better" in found else "Not settled" if "undecided" in found else "Yes"
    paragraph = (
        f"{warning}**Is {name} alone on par with {others}? {short}: by {measure}, {verdicts}.** {_basis(relevant, seeds)}"
    )
    return "\n".join([paragraph, "", _comparisons(chosen, means, measure, name), "", _how_to_read(seeds, settings), ""])


def _comparisons(chosen: pd.DataFrame, means: pd.DataFrame, measure: str, baseline: str) -> str:
    """Every comparison with the baseline, as a Markdown table."""
    rows = chosen.merge(means[["benchmark", *POOLED, "measure", "mean"]], on=["benchmark", *POOLED, "measure"])
    return markdown_table(
        {
            "Benchmark": rows["benchmark"],
            "First stage": rows["retriever"],
            "Recipe": system_names(rows),
            measure: fixed(rows["mean"]),
            baseline: fixed(rows["mean"] - rows["difference"]),
            "Difference": rows["difference"].map(signed),
            "Interval": rows["low"].map(signed) + " to " + rows["high"].map(signed),
            "p": rows["p_holm"].map(_p),
            "p, equivalence": rows["p_equivalence_holm"].map(_p),
            "Verdict": rows["verdict"],
        },
        "lllrrrrrrl",
    )


def _verdicts(recipe: str, rows: pd.DataFrame, margin: float) -> str:
    """`kd→cl is better in 2 of 2 comparisons (+0.010 to +0.013)`."""
    counts = rows["verdict"].replace("equivalent", f"equivalent within ±{margin:g}").value_counts()
    found = " and ".join(f"{verdict} in {count}" for verdict, count in counts.items())
    span = " to ".join(dict.fromkeys([signed(rows["difference"].min()), signed(rows["difference"].max())]))
    return f"{recipe_name(recipe)} is {found} of {len(rows)} comparison{'s' * (len(rows) > 1)} ({span})"


def _basis(rows: pd.DataFrame, seeds: int) -> str:
    benchmarks, stages = (", ".join(rows[name].unique()) for name in ("benchmark", "retriever"))
    queries = " to ".join(dict.fromkeys([f"{rows['queries'].min():,}", f"{rows['queries'].max():,}"]))
    return (
        f"On {benchmarks}, over {stages}: {queries} queries, {'one seed' if seeds == 1 else f'{seeds} seeds'} of each recipe."
    )


def _how_to_read(seeds: int, settings: Evaluation) -> str:
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
