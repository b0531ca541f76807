"""The report's front page in words: does re-ranking help, which recipe, is one training stage enough, how sure is that?"""

from typing import Any

import pandas as pd

from multistage.config.evaluation import Evaluation
from multistage.config.recipes import FIRST_STAGE, FUSED, TEACHER, UNTRAINED
from multistage.evaluation.comparison import POOLED
from multistage.reporting.pages import fixed, markdown_table, recipe_name, signed, system_names

# Stands before everything else where there is one seed. The shares are those of `python -m benchmarks.coverage`.
ONE_SEED = (
    "**One seed: this speaks of these models, not of their recipes.** With one seed, chance in training looks like an effect: "
    "in simulations where two models of one recipe differ by about 0.01, tests called equal recipes different in 13% of cases "
    "with 200 queries, and in 33% with 1,000. Train three seeds before you say that one recipe is better."
)
# What stands before the systems with a verdict, {} being the margin.
VERDICTS = {
    "better": "Better",
    "better, by less than the margin": "Better, by less than {:g}",
    "equivalent": "Equivalent (within ±{:g})",
    "undecided": "Undecided",
    "worse, by less than the margin": "Worse, by less than {:g}",
    "worse": "Worse",
}
# The plot, as seen from an experiment's tables.
PLOT = "../plots/effectiveness.svg"
PLOT_NOTE = "Bars are intervals of each mean. Systems are compared on the same queries, so bars that overlap can still differ."
PANELS = "Panels have scales of their own; an arrow at an edge stands for a mean beyond it."


def answer(means: pd.DataFrame, differences: pd.DataFrame, settings: Evaluation, *, measure: str, tables: str) -> str:
    """What the grid found as Markdown: a section for each question, in the order in which a reader asks them.

    means, differences: what `comparison.compare` made. measure: the one that decides. tables: those of effectiveness.
    """
    means, differences = (table[table["measure"] == measure] for table in (means, differences))
    plot = f"![Effectiveness of every system, by first stage]({PLOT})\n\n{PLOT_NOTE}"
    if means["recipe"].isin([FIRST_STAGE, TEACHER]).all():
        alone = means[means["recipe"] == FIRST_STAGE]
        parts = [
            "## Which first stage?",
            f"This grid trains nothing. First stages by {measure}, the best first:",
            _highest(alone, ["benchmark"]),
            f"{plot}\n\n{tables.strip()}",
            "## How sure is this?",
            f"{_asked(alone)}. The {settings.confidence:.0%} interval of a mean reaches {_reach(alone)} to each side. First "
            "stages were not tested against one another: `python -m multistage evaluate` does that with their runs.",
        ]
        return "\n\n".join(parts) + "\n"
    seeds, baseline = int(means["seeds"].max()), settings.baseline
    first, beside = differences["against"] == FIRST_STAGE, _trained(differences[differences["against"] != FIRST_STAGE])
    tested = f" (above) and against {recipe_name(str(baseline))} (below)" if not _unfused(beside).empty else ""
    parts = [
        "## Does re-ranking help?",
        _beside_first_stage(differences[first], means, settings),
        "## Which recipe?",
        f"The highest means by {measure}:",
        _highest(_trained(means), ["benchmark", "retriever"]),
        f"Each recipe was tested against its first stage{tested}, not against all others.",
        f"{plot} {PANELS}\n\n{tables.strip()}",
        "## Is one training stage enough?",
        _beside_baseline(beside, means, recipe_name(str(baseline)), settings),
        "## How sure is this?",
        _basis(_trained(means), _trained(differences), settings.confidence),
        how_to_read(seeds, settings),
    ]
    return "\n\n".join([ONE_SEED, *parts] if seeds == 1 else parts) + "\n"


def _beside_first_stage(rows: pd.DataFrame, means: pd.DataFrame, settings: Evaluation) -> str:
    """For each first stage whether re-rankers are better than it, and which."""
    # That a model is not better before it is trained answers nothing.
    untrained = rows["recipe"] == UNTRAINED
    rows = rows[(rows["recipe"] != TEACHER) & ~(untrained & ~rows["verdict"].str.startswith("better"))]
    alone = means[means["recipe"] == FIRST_STAGE].set_index(["benchmark", "retriever"])["mean"]
    bullets = []
    for place, own in rows.groupby(["benchmark", "retriever"], sort=False):
        better, worse = (own["verdict"].str.startswith(word) for word in ("better", "worse"))
        answers = {
            "yes": better.all(),
            "with some recipes, while others hurt": better.any() and worse.any(),
            "with some recipes": better.any(),
            "no, it hurts": worse.all(),
            "no, and some recipes hurt": worse.any(),
            "no, it changes little": (own["verdict"] == "equivalent").all(),
            "not shown": True,
        }
        short = next(text for text, holds in answers.items() if holds)
        bullets.append(
            f"- **{_where(place)}: {short}.** {own['retriever'].iloc[0]} alone has {own['measure'].iloc[0]} "
            f"{alone.at[place]:.3f}. {in_words(own, settings.margin)}"
        )
    return "\n".join(bullets)


def _highest(rows: pd.DataFrame, places: list[str]) -> str:
    """The three systems of the highest means in each place."""
    best = [(place, own.nlargest(3, "mean")) for place, own in rows.groupby(places, sort=False)]
    lists = [(place, map(" ".join, zip(system_names(own), fixed(own["mean"]), strict=True))) for place, own in best]
    return "\n".join(f"- {_where(place)}: {', '.join(listed)}" for place, listed in lists)


def _beside_baseline(rows: pd.DataFrame, means: pd.DataFrame, name: str, settings: Evaluation) -> str:
    """Whether the baseline is on par with recipes of more stages, which may be missing, and the comparisons behind it."""
    recipes = _unfused(rows)
    if recipes.empty:
        return "Nothing was compared with a baseline: that takes `evaluation.baseline` and another recipe in the grid."
    staged = recipes[recipes["recipe"].str.count("-") > name.count("→")]
    relevant, others = (staged, "recipes of more training stages") if len(staged) else (recipes, "the other recipes")
    found = set(relevant["verdict"])
    # The baseline is on par or ahead where every other is equivalent or worse.
    short = "No" if "better" in found else "Not settled" if "undecided" in found else "Yes"
    by_place = relevant.groupby(["benchmark", "retriever"], sort=False)
    bullets = "\n".join(f"- **{_where(place)}.** {in_words(own, settings.margin)}" for place, own in by_place)
    text = f"**Is {name} on par with {others}? {short}.** Compared with {name}:"
    return "\n\n".join([text, bullets, comparisons_table(rows, means, name, settings.confidence)])


def in_words(rows: pd.DataFrame, margin: float) -> str:
    """Comparisons by what was found: `Better: tiny cl→kd (+0.031), tiny cl (+0.025). Worse: tiny kd (−0.020).`"""
    rows = rows.sort_values("difference", ascending=False)
    systems = pd.Series(system_names(rows), rows.index) + " (" + rows["difference"].map(signed) + ")"
    lists = {word: ", ".join(systems[rows["verdict"] == word]) for word in VERDICTS}
    return " ".join(f"{VERDICTS[word].format(margin)}: {listed}." for word, listed in lists.items() if listed)


def _where(place: Any) -> str:
    """A benchmark, or a benchmark and a first stage."""
    benchmark, *retriever = place
    return f"Over {retriever[0]} on {benchmark}" if retriever else f"On {benchmark}"


def comparisons_table(chosen: pd.DataFrame, means: pd.DataFrame, baseline: str, confidence: float) -> str:
    """Comparisons with the baseline by one measure, as Markdown: what is adjusted, and the table."""
    measure = chosen["measure"].iloc[0]
    rows = chosen.merge(means[["benchmark", *POOLED, "measure", "mean"]], on=["benchmark", *POOLED, "measure"])
    first = {"First stage": rows["retriever"]} if rows["retriever"].any() else {}
    adjusted = (
        "p, and so the verdict, is adjusted for all comparisons of the same kind on a benchmark (Holm): with first stages, or "
        f"with the baseline. The {confidence:.0%} interval is not, and may leave out zero where the verdict is *undecided*."
    )
    table = markdown_table(
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
    return f"{adjusted}\n\n{table}"


def _trained(table: pd.DataFrame) -> pd.DataFrame:
    return table[~table["recipe"].isin([FIRST_STAGE, TEACHER, UNTRAINED])]


def _unfused(table: pd.DataFrame) -> pd.DataFrame:
    return table[~table["recipe"].str.endswith(FUSED)]


def _basis(means: pd.DataFrame, differences: pd.DataFrame, confidence: float) -> str:
    """How many seeds and queries there are, and how much chance there is in differences and between seeds. Of trained ones."""
    seeds = means["seeds"].max()
    text = f"{'One seed' if seeds == 1 else f'{seeds} seeds'} of each recipe and {_asked(means)}. The {confidence:.0%} "
    text += (
        f"interval of a difference reaches {_reach(differences)} to each side: a smaller difference cannot be told from zero."
    )
    varies = f" The mean of a recipe varies between seeds by {_range(means['seed_sd'])} (standard deviation)."
    return text + (varies if seeds > 1 else "")


def _asked(means: pd.DataFrame) -> str:
    queries = means.groupby("benchmark", sort=False)["queries"].first()
    return ", ".join(f"{count:,} queries of {benchmark}" for benchmark, count in queries.items())


def _reach(table: pd.DataFrame) -> str:
    """Half of the intervals' widths."""
    return _range((table["high"] - table["low"]) / 2)


def _range(values: pd.Series) -> str:
    """`0.010 to 0.020`, or one number where both ends look the same."""
    return " to ".join(dict.fromkeys(fixed(values.agg(["min", "max"]))))


def how_to_read(seeds: int, settings: Evaluation) -> str:
    scope = (
        "Queries and seeds are both random in these tests: a verdict holds for training again, and for other such queries."
        if seeds > 1
        else "With one seed a verdict holds for these models."
    )
    return (
        f"*Better* and *worse*: shown to differ from zero. *Equivalent*: shown to be smaller than ±{settings.margin:g}, tested "
        f"from both sides. *Undecided*: neither could be shown, which does not mean on par. {scope}"
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"
