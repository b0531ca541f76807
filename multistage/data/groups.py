"""The making of groups: the candidate passages of each training or validation query, and what is known of them."""

import numpy as np
import polars as pl

from multistage.data.runs import ranks_of, rows_of, with_ids
from multistage.data.sampling import Groups
from multistage.data.tokens import padded
from multistage.jobs.log import logger

PAIR = ["query", "passage"]


def training_groups(
    run: pl.DataFrame,
    qrels: pl.DataFrame,
    queries: pl.Series,
    passages: pl.Series,
    *,
    teacher: pl.DataFrame | None,
    contrast: bool,
    relevance: int,
    drop_above: float | None = None,
) -> Groups:
    """Every query's candidates in the order of the run, then the relevant passages that are not among them.

    run: the candidates (query row, passage row, score), in run order. teacher: a teacher's run of them, or the same; of each
    passage in a group its rank and score there are known.
    qrels: judgements (query id, passage id, grade), of which those below `relevance` are not relevant; a relevant passage that
    is not in the collection is left out. queries, passages: ids by row.
    drop_above: the share of a relevant passage's score from which an unjudged one is left out (`_without_likely_relevant`).
    Queries that cannot make a group are left out: where groups are to `contrast`, those without a relevant passage or without
    another candidate; else those with fewer than two candidates.
    """
    own = qrels.filter(pl.col("query").is_in(queries.implode()))
    is_here = pl.col("passage").is_in(passages.implode())
    here = own.filter(is_here)
    if absent := len(own.filter(~is_here, pl.col("grade") >= relevance)):
        logger.warning(f"{absent:,} relevant passages left out: they are not in the collection")
    judged = here.select(
        query=pl.Series(rows_of(here["query"], queries, "judgements", "query")),
        passage=pl.Series(rows_of(here["passage"], passages, "judgements", "passage")),
        grade=pl.when(pl.col("grade") >= relevance).then(pl.col("grade").cast(pl.Int16)).otherwise(0),
    )
    relevant = judged.filter(pl.col("grade") > 0)
    missing = relevant.join(run, on=PAIR, how="anti", maintain_order="left")
    known = pl.concat([run.select(PAIR), missing.select(PAIR)])
    known = known.join(judged, on=PAIR, how="left", maintain_order="left").with_columns(pl.col("grade").fill_null(-1))
    if teacher is not None:
        ranks = pl.Series("rank", ranks_of(teacher["query"].to_numpy()) + 1, dtype=pl.Int16)
        known = known.join(teacher.with_columns(ranks), on=PAIR, how="left", maintain_order="left")
        if drop_above is not None:
            known = _without_likely_relevant(known, teacher, drop_above)
    is_relevant = pl.col("grade") > 0
    usable = is_relevant.any() & ~is_relevant.all() if contrast else pl.col("rank").count() > 1
    sizes = known.group_by("query").agg(pl.len(), usable=usable).filter("usable").sort("query")
    known = known.join(sizes, on="query", how="semi").sort("query", maintain_order=True)
    found = f"{run['query'].n_unique():,} have candidates and {relevant['query'].n_unique():,} a relevant passage"
    logger.info(f"of {len(queries):,} queries, {found}: {len(sizes):,} make a group")
    if left_out := len(queries) - len(sizes):
        logger.warning(f"{left_out:,} queries left out of training: they cannot make a group")
    each = sizes["len"].to_numpy()
    return Groups(
        queries=sizes["query"].to_numpy(),
        passages=padded(known["passage"].to_numpy(), each, -1),
        grades=padded(known["grade"].to_numpy(), each, -1),
        ranks=None if teacher is None else padded(known["rank"].fill_null(0).to_numpy(), each, 0),
        scores=None if teacher is None else padded(known["score"].fill_null(np.nan).to_numpy(), each, np.nan),
    )


def _without_likely_relevant(known: pl.DataFrame, teacher: pl.DataFrame, share: float) -> pl.DataFrame:
    """Candidates without the unjudged ones that the teacher scores at least `share` of its best score of a relevant one.

    TopK-PercPos of Moreira et al., "NV-Retriever: Improving text embedding models with effective hard-negative mining" (2024,
    arXiv 2407.15831). Their scores are cosines. A share has a meaning where zero has one, which a logit's has not, so scores
    are taken above the teacher's lowest for the query, as in min-max. Where it ranks no relevant passage, nothing is dropped.
    """
    lowest = teacher.group_by("query").agg(lowest=pl.col("score").min())
    best = pl.col("score").filter(pl.col("grade") > 0).max().over("query") - pl.col("lowest")
    likely = (pl.col("grade") < 0) & (pl.col("score") - pl.col("lowest") >= share * best)
    judged = known.join(lowest, on="query", how="left", maintain_order="left").with_columns(
        likely=likely.fill_null(False), unknown=best.is_null()
    )
    logger.warning(
        f"{judged['likely'].sum():,} unjudged passages left out of negatives: the teacher scores them at least {share:g} of a "
        f"relevant one; of {judged.filter('unknown')['query'].n_unique():,} queries it ranks no relevant passage, and all stay"
    )
    return known.filter(~judged["likely"])


def validation_set(run: pl.DataFrame, qrels: pl.DataFrame, *, queries: pl.Series, passages: pl.Series, limit: int) -> Groups:
    """The candidates and grades of the first `limit` queries of a run, -1 and 0 where a query has fewer than others.

    run: (query row, passage row, score), in run order. qrels: (query id, passage id, grade). queries, passages: ids by row.
    """
    sizes = run.group_by("query", maintain_order=True).len().head(limit)
    run = run.join(sizes, on="query", how="semi")
    grades = (
        with_ids(run, queries, passages).join(qrels, on=PAIR, how="left", maintain_order="left")["grade"].fill_null(0).clip(0)
    )
    each = sizes["len"].to_numpy()
    return Groups(
        queries=sizes["query"].to_numpy(),
        passages=padded(run["passage"].to_numpy(), each, -1),
        grades=padded(grades.cast(pl.Int16).to_numpy(), each, 0),
    )
