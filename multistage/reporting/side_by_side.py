"""Systems beside one another without a config: runs of one's own, or several experiments."""

from pathlib import Path

import pandas as pd

from multistage.config.evaluation import Evaluation
from multistage.config.recipes import FIRST_STAGE, TEACHER
from multistage.evaluation.comparison import compare
from multistage.evaluation.measures import measures_of
from multistage.jobs.errors import InputError
from multistage.jobs.files import write_texts
from multistage.measures import compares
from multistage.reporting.answer import comparisons_table, how_to_read
from multistage.reporting.pages import baseline_name
from multistage.reporting.tables import as_markdown, cells, note, write_comparison, write_effectiveness


def tables_of(values: dict[str, pd.DataFrame], baseline: str | None, folder: Path | None) -> str:
    """Effectiveness and comparisons with the baseline as Markdown; in a folder also what an experiment's `tables` has of them.

    values: for each benchmark what `measures.evaluate_runs` gives. baseline: a recipe or run; None for the first. Raises
    InputError for one that is not there.
    """
    recipes = pd.concat(table["recipe"] for table in values.values())
    recipes = list(recipes[~recipes.isin((FIRST_STAGE, TEACHER))].unique())
    if baseline is not None and baseline not in recipes:
        raise InputError(f"baseline {baseline!r} was not evaluated; choose one of {', '.join(recipes)}.")
    settings = Evaluation().model_copy(update={"baseline": baseline or next(iter(recipes), None)})
    means, differences = compare(values, settings)
    text = as_markdown(cells(means, differences), note(means, differences, settings))
    by = next(filter(compares, measures_of(next(iter(values.values())))), None)
    chosen = differences[(differences["measure"] == by) & (differences["against"] != FIRST_STAGE)]
    if len(chosen):
        name = baseline_name(means, settings)
        reading = how_to_read(int(means["seeds"].max()), settings)
        text += f"\n### Beside {name}, by {by}\n\n{comparisons_table(chosen, means, name, settings.confidence)}\n\n{reading}\n"
    if folder:
        write_comparison(means, differences, folder / "effectiveness.csv", folder / "comparisons.csv")
        markdown, latex, html = (folder / f"effectiveness.{suffix}" for suffix in ("md", "tex", "html"))
        write_effectiveness(means, differences, settings, markdown=markdown, latex=latex, html=html)
        write_texts({folder / "answer.md": text})
    return text
