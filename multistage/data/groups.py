"""Groups: the candidate passages of each training or validation query, and what is known of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from safetensors import safe_open
from safetensors.numpy import save_file

from multistage.data.runs import ranks_of, rows_of
from multistage.data.tokens import Ints, TokenStore
from multistage.jobs.errors import InputError
from multistage.jobs.files import readable, replacing
from multistage.jobs.log import logger

PAIR = ["query", "passage"]
KINDS = {"queries": "int32", "passages": "int32", "grades": "int16", "ranks": "int16", "scores": "float32"}


@dataclass(frozen=True)
class Groups:
    """The passages of a training or validation set's queries, and what is known of them.

    queries: (queries,) int32 rows of the query store. Each of the others is (queries, widest):
    passages: int32 rows of the passage store, -1 where there is none.
    grades: int16 judgements, -1 where there is none; what does not count as relevant is 0 in training sets.
    ranks: int16 ranks that the teacher gave, 1 is best, 0 where it gave none. None without a teacher.
    scores: float32 scores that the teacher gave, nan where it gave none. None without a teacher.
    """

    queries: npt.NDArray[np.int32]
    passages: npt.NDArray[np.int32]
    grades: npt.NDArray[np.int16]
    ranks: npt.NDArray[np.int16] | None = None
    scores: npt.NDArray[np.float32] | None = None

    @property
    def pairs(self) -> int:
        """How many passages there are."""
        return int((self.passages >= 0).sum())

    def write(self, path: str | Path) -> None:
        """Write the matrices as safetensors."""
        with replacing(path) as (partial,):
            save_file({name: matrix for name, matrix in vars(self).items() if matrix is not None}, partial)

    @classmethod
    def read(cls, path: str | Path, wanted: int = 0) -> "Groups":
        """Map what `write` wrote into memory.

        Raises InputError for a damaged file, and when it holds no groups, or none of as many passages as are wanted.
        """
        with readable(path), safe_open(path, framework="pt") as file:  # maps tensors, where framework="numpy" reads them
            groups = cls(**{name: file.get_tensor(name).numpy() for name in file.keys()})  # noqa: SIM118
            for name, matrix in vars(groups).items():
                shape = groups.queries.shape if name == "queries" else (len(groups.queries), groups.passages.shape[1])
                if matrix is not None and (matrix.shape != shape or matrix.dtype != KINDS[name]):
                    raise ValueError(f"{name} holds {matrix.shape} {matrix.dtype}, and must hold {shape} {KINDS[name]}")
        if not len(groups.queries):
            raise InputError(f"{path}: no group is left; the log of the rule that made it says what was dropped.")
        most = groups.passages.shape[1]
        if most < wanted:
            raise InputError(f"{path}: no query has more than {most} passages, but the objective's group_size is {wanted}.")
        return groups

    def require_texts(self, queries: TokenStore, passages: TokenStore, path: str | Path) -> None:
        """Raise InputError, naming the file of the groups, where their rows are not those of the stores."""
        for rows, store in ((self.queries, queries), (self.passages, passages)):
            if rows.min() < -1 or rows.max() >= len(store):
                raise InputError(
                    f"{path}: made of other texts than {store.name}. Delete both, and the next run makes them again."
                )


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
        logger.warning("%s relevant passages left out: they are not in the collection", f"{absent:,}")
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
    told = (
        "of %s queries, %s have candidates and %s a relevant passage: %s make a group",
        *(f"{number:,}" for number in (len(queries), run["query"].n_unique(), relevant["query"].n_unique(), len(sizes))),
    )
    logger.info(*told)
    if left_out := len(queries) - len(sizes):
        logger.warning("%s queries left out of training: they cannot make a group", f"{left_out:,}")
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
        "%s unjudged passages left out of negatives: the teacher scores them at least %g of a relevant one; of %s queries it "
        "ranks no relevant passage, and all stay",
        f"{judged['likely'].sum():,}",
        share,
        f"{judged.filter('unknown')['query'].n_unique():,}",
    )
    return known.filter(~judged["likely"])


def validation_set(run: pl.DataFrame, qrels: pl.DataFrame, *, queries: pl.Series, passages: pl.Series, limit: int) -> Groups:
    """The candidates and grades of the first `limit` queries of a run, -1 and 0 where a query has fewer than others.

    run: (query row, passage row, score), in run order. qrels: (query id, passage id, grade). queries, passages: ids by row.
    """
    sizes = run.group_by("query", maintain_order=True).len().head(limit)
    run = run.join(sizes, on="query", how="semi")
    ids = pl.DataFrame({"query": queries.gather(run["query"]), "passage": passages.gather(run["passage"])})
    grades = ids.join(qrels, on=PAIR, how="left", maintain_order="left")["grade"].fill_null(0).clip(0)
    each = sizes["len"].to_numpy()
    return Groups(
        queries=sizes["query"].to_numpy(),
        passages=padded(run["passage"].to_numpy(), each, -1),
        grades=padded(grades.cast(pl.Int16).to_numpy(), each, 0),
    )


def padded(values: npt.NDArray[Any], sizes: Ints, nothing: float) -> npt.NDArray[Any]:
    """Values of one query after another as a matrix, (queries, widest), with `nothing` where a query has no more.

    sizes: how many of the values each query has.
    """
    matrix = np.full((len(sizes), sizes.max(initial=0)), nothing, dtype=values.dtype)
    matrix[np.arange(matrix.shape[1]) < sizes[:, None]] = values
    return matrix
