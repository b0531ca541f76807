"""What an experiment says about the seeds and queries that the next one needs."""

import numpy as np
import pandas as pd

from multistage.evaluation.measures import measures_of
from multistage.evaluation.power import ALONE, POWER, QUERIES, SEEDS, Pairs, questions, smallest_difference, variances
from multistage.jobs.errors import InputError
from multistage.reporting.pages import markdown_table

ONE_SEED = (
    "With one seed nobody knows how much models of one recipe differ: this is about two models, and says nothing about "
    "recipes. Give `grid.seeds` two more; the part of seeds is then known, roughly."
)


def power_tables(values: dict[str, pd.DataFrame], measure: str | None, level: float) -> str:
    """For each benchmark and question a table of smallest differences, in Markdown, and how to read them.

    values: for each benchmark what `measures.evaluate_runs` gives. measure: None for the first. Raises InputError for one that
    was not measured, and where no recipe was.
    """
    parts = []
    for benchmark, table in values.items():
        chosen, *_ = measures_of(table, [measure] if measure else None)
        for question, pairs in questions(table, chosen).items():
            parts += [f"### {benchmark}, {chosen}: {question}", *_seen_and_needed(pairs, 1 if question == ALONE else 2, level)]
    if not parts:
        raise InputError("no trained recipe was evaluated on several queries, so nothing is known of how such systems differ.")
    how = (
        f"Each cell: the smallest true difference that a test at the level {level:g} finds in {POWER:.0%} of experiments of "
        "that size. Holm's method tests the first of N comparisons at the level / N: set `--level` to that."
    )
    return "\n\n".join([*parts, how]) + "\n"


def _seen_and_needed(pairs: Pairs, sides: int, level: float) -> list[str]:
    """What was seen, and what follows from it: paragraphs."""
    seen, (seeds, queries) = variances(pairs), pairs[0][0].shape
    text = f"Seen: {queries:,} queries, {'one seed' if seeds == 1 else f'{seeds} seeds'}. Standard deviations: "
    text += f"of a query's difference {np.sqrt(seen.query):.3f}"
    if seeds > 1:
        text += f", of a value's error {np.sqrt(seen.error):.3f}, of a recipe's mean between seeds {np.sqrt(seen.seed):.4f}"
    columns = {"Queries": [f"{number:,}" for number in QUERIES]}
    for count in SEEDS if seeds > 1 else (1,):
        found = [smallest_difference(seen, sides=sides, seeds=count, queries=number, level=level) for number in QUERIES]
        columns["One seed" if count == 1 else f"{count} seeds"] = [f"{each:.3f}" for each in found]
    return [f"{text}.", markdown_table(columns, "r" * len(columns)), *([ONE_SEED] if seeds == 1 else [])]
