"""A TREC run as teacher: its scores, and the order that they say."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from multistage.data.runs import write_run
from multistage.jobs.files import replacing

if TYPE_CHECKING:
    from multistage.data.streaming import Block


def write_scored_run(
    blocks: Iterable["Block"], queries: pd.Index, passages: pd.Index, run: str | Path, scores: str | Path, tag: str
) -> None:
    """Write a teacher's ranking twice: to `scores` with its own scores, to `run` with minus its rank for a score.

    blocks: rows of `queries` and `passages`, in run order.
    """
    scored = pd.concat([block.run(queries, passages) for block in blocks], ignore_index=True)
    order = scored.assign(score=-1.0 - scored.groupby("query", sort=False).cumcount())
    with replacing(run, scores) as (run_file, scores_file):
        write_run(run_file, order, tag)
        write_run(scores_file, scored, tag)
