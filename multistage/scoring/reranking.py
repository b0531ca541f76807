"""Re-ranking runs: every candidate of every first stage scored once, each run cut from the scores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from multistage.config.training import PairSettings
from multistage.data.runs import with_ids, write_run
from multistage.data.tokens import Ints, TokenStore, load_tokenizer
from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing
from multistage.jobs.log import Rate, logger
from multistage.model.checkpoint import load_cross_encoder, require_fit
from multistage.scoring.scoring import pairs_for, score_pairs


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """A re-ranker in a folder, and how it scores.

    lengths: what pairs are cut to. tokens_per_batch: padded tokens in one forward pass. precision: the encoder's, auto,
    float32 or bfloat16.
    """

    folder: Path
    lengths: PairSettings
    tokens_per_batch: int
    device: str
    precision: str

    def score(
        self,
        queries: TokenStore,
        passages: TokenStore,
        *,
        query_rows: Ints,
        passage_rows: Ints,
        name_of: Callable[[int], str],
    ) -> npt.NDArray[np.float32]:
        """Score pairs of rows of two stores, each distinct pair once.

        query_rows, passage_rows: (pairs,). name_of: what messages call a pair. Returns (pairs,) float32 logits. Raises
        InputError for a checkpoint that is not a re-ranker or cannot read such pairs, a store made with another vocabulary, a
        score that is not finite.
        """
        keys = query_rows.astype(np.int64) * len(passages) + passage_rows
        distinct, places = np.unique(keys, return_inverse=True)
        logger.info(f"{len(keys):,} pairs, {len(distinct):,} distinct")
        model = load_cross_encoder(self.folder, self.device, self.precision)
        tokenizer = load_tokenizer(self.folder)
        require_fit(model, tokenizer, self.lengths.max_length)
        pairs = pairs_for(tokenizer, queries, passages, self.lengths)
        rows, rate = np.divmod(distinct, len(passages)), Rate(len(distinct), "pairs")
        pairs.warn_if_cut(*rows)
        scores = score_pairs(model, pairs, *rows, tokens_per_batch=self.tokens_per_batch, rate=rate)[places]
        for row in np.flatnonzero(~np.isfinite(scores))[:1]:
            raise InputError(
                f"{self.folder}: the model's score of {name_of(row)} is {scores[row]}. Its weights are damaged, or too large "
                "for the precision: try float32, or take another model."
            )
        return scores

    def rerank(
        self,
        runs: Sequence[pl.DataFrame],
        *,
        queries: tuple[pl.Series, TokenStore],
        passages: tuple[pl.Series, TokenStore],
        tag: str,
        outputs: Sequence[str | Path],
    ) -> None:
        """Write each run again with the model's scores, in the order of `outputs`; their distinct pairs are scored once.

        runs: (query row, passage row, score). queries, passages: ids and tokens by row. Raises InputError as `score` does,
        before any output is written.
        """
        for ids, store in (queries, passages):
            if len(ids) != len(store):
                raise InputError(
                    f"{store.name}: holds {len(store)} texts, and their table {len(ids)}. Delete it to have it made again."
                )
        pairs = pl.concat(runs)
        rows = {"query": pairs["query"].to_numpy(), "passage": pairs["passage"].to_numpy()}
        scores = self.score(
            queries[1],
            passages[1],
            query_rows=rows["query"],
            passage_rows=rows["passage"],
            name_of=lambda row: f"query {queries[0][rows['query'][row]]} and passage {passages[0][rows['passage'][row]]}",
        )
        same = pairs.with_columns(score=scores).group_by("query").agg(pl.len() > 1, score=pl.col("score").n_unique() == 1)
        if tied := int((same["len"] & same["score"]).sum()):
            logger.warning(f"{self.folder}: all passages of {tied:,} queries have one score, so ids decide their order")
        ends = np.cumsum([len(run) for run in runs])
        with replacing(*outputs) as files:
            for run, own, file in zip(runs, np.split(scores, ends[:-1]), files, strict=True):
                write_run(file, with_ids(run.with_columns(score=pl.Series(own)), queries[0], passages[0]), tag)
