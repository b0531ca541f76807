"""Folds: a query set split for cross-validation, and its runs with it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from multistage.data.leaks import SAME_TEXT
from multistage.data.runs import read_run, write_run
from multistage.data.tables import read_ids, read_qrels, read_texts
from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing, write_texts
from multistage.jobs.log import logger

# Of the order that queries are dealt in. Experiments with as many folds have the same ones.
SEED = 42


def fold_parts(texts: pl.DataFrame, judged: pl.Series, folds: int) -> list[tuple[pl.Series, pl.Series, pl.Series]]:
    """For each fold the ids of its training, validation and test queries, which are all queries, each once.

    texts: id and text of the queries. judged: the ids of those with judgements. Queries are shuffled and dealt to the folds in
    turn, those with judgements first; of those outside of a fold, every `folds`-th one validates. Queries of the same text
    (`leaks.SAME_TEXT`) stay together. Raises InputError where a part would have no judged query.
    """
    known = texts.select("id", key=SAME_TEXT, judged=pl.col("id").is_in(judged.implode()))
    keys = known.group_by("key", maintain_order=True).agg(pl.col("judged").any())
    drawn = pl.Series(np.random.default_rng(SEED).permutation(len(keys)))
    dealt = keys.with_columns(drawn=drawn).sort(~pl.col("judged"), "drawn").with_row_index("place")
    known = known.join(dealt.select("key", "place"), on="key", maintain_order="left")
    parts = []
    for fold in range(folds):
        is_test = pl.col("place") % folds == fold
        rest = dealt.filter(~is_test)["place"]
        validates = pl.col("place").is_in(rest[fold::folds].implode())
        chosen = [known.filter(part) for part in (~is_test & ~validates, validates, is_test)]
        if not all(part["judged"].any() for part in chosen):
            raise InputError(
                f"{known['judged'].sum()} judged queries cannot be split into {folds} folds that each have queries to train, "
                "to validate and to test on; take a lower number for grid.folds in the config, or more queries."
            )
        train, validation, test = (part["id"] for part in chosen)
        parts.append((train, validation, test))
    return parts


def split_queries(
    texts: str | Path, judgements: str | Path, *, folds: int, queries: Sequence[str], qrels: Sequence[str]
) -> None:
    """Write the queries and judgements of each part of each fold, in the order of `fold_parts`, which raises InputError."""
    all_queries, all_qrels = read_texts(texts), read_qrels(judgements)
    parts = [ids.implode() for fold in fold_parts(all_queries, all_qrels["query"], folds) for ids in fold]
    with replacing(*queries, *qrels) as files:
        for ids, query_file, qrels_file in zip(parts, files[: len(queries)], files[len(queries) :], strict=True):
            all_queries.filter(pl.col("id").is_in(ids)).write_parquet(query_file)
            all_qrels.filter(pl.col("query").is_in(ids)).write_parquet(qrels_file)
    logger.info(f"{len(all_queries):,} queries in {folds} folds")


def split_run(run: str | Path, queries: Sequence[str], outputs: Sequence[str]) -> None:
    """Write the rankings of each of the query sets `queries` to its output."""
    whole = read_run(run)
    for table, output in zip(queries, outputs, strict=True):
        write_run(output, whole.filter(pl.col("query").is_in(read_ids(table).implode())), Path(run).parent.name)


def join_runs(runs: Sequence[str], output: str | Path) -> None:
    """Write runs of different queries as one; each line keeps its tag, which names the model. Raises InputError as `read_run`
    does."""
    for run in runs:
        read_run(run)
    write_texts({output: "".join(Path(run).read_text(encoding="utf-8") for run in runs)})
