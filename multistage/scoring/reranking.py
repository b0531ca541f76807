"""Re-ranking runs: every candidate of every first stage scored once, each run cut from the scores."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from multistage.config import PairSettings
from multistage.data.runs import read_run, with_ids, write_run
from multistage.data.tables import read_ids
from multistage.data.tokens import Ints, StoreFiles, TokenStore
from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing
from multistage.jobs.log import Rate
from multistage.model.checkpoint import load_cross_encoder, load_tokenizer, longest_input
from multistage.scoring.scoring import pairs_for, score_pairs

logger = logging.getLogger("jobs")


@dataclass(frozen=True)
class RerankInputs:
    """The files a re-ranking job reads: a model's weights, first-stage runs, the tables of ids, their token stores."""

    model: str
    runs: list[str]
    query_ids: str
    passage_ids: str
    queries: StoreFiles
    passages: StoreFiles


def rerank(
    inputs: RerankInputs,
    depth: int | None,
    backbone: PairSettings,
    tokens_per_batch: int,
    device: str,
    tag: str,
    outputs: list[str],
) -> None:
    """Re-rank the first `depth` passages of every query of each run; one output run per input run, in their order.

    depth: None for all. tokens_per_batch: padded tokens in one forward pass.
    Raises InputError for a bad run, an unknown id, a checkpoint with several labels, before any output is written.
    """
    queries, passages = read_ids(inputs.query_ids), read_ids(inputs.passage_ids)
    runs = [read_run(path, depth, queries=queries, passages=passages) for path in inputs.runs]
    pairs = pl.concat(runs)
    scores = score_rows(
        Path(inputs.model).parent,
        inputs.queries,
        inputs.passages,
        pairs["query"].to_numpy(),
        pairs["passage"].to_numpy(),
        backbone,
        tokens_per_batch,
        device,
    )
    ends = np.cumsum([len(run) for run in runs])
    with replacing(*outputs) as files:
        for run, own, file in zip(runs, np.split(scores, ends[:-1]), files, strict=True):
            write_run(file, with_ids(run.with_columns(score=pl.Series(own)), queries, passages), tag)


def score_rows(
    folder: Path,
    queries: StoreFiles,
    passages: StoreFiles,
    query_rows: Ints,
    passage_rows: Ints,
    backbone: PairSettings,
    tokens_per_batch: int,
    device: str,
) -> npt.NDArray[np.float32]:
    """The scores that the model in `folder` gives pairs of rows of two token stores, each distinct pair scored once.

    query_rows, passage_rows: (pairs,). Returns (pairs,) float32 logits. Raises InputError for a checkpoint with several labels
    or with fewer positions than a pair has tokens, a store made with another vocabulary.
    """
    query_store, passage_store = TokenStore(queries), TokenStore(passages)
    keys = query_rows.astype(np.int64) * len(passage_store) + passage_rows
    distinct, places = np.unique(keys, return_inverse=True)
    logger.info("%s pairs, %s distinct", f"{len(keys):,}", f"{len(distinct):,}")
    model = load_cross_encoder(folder, device)
    longest = longest_input(model)
    if longest is not None and backbone.max_length > longest:
        raise InputError(f"{folder}: the model reads {longest} tokens at most, and max_length is {backbone.max_length}.")
    pairs = pairs_for(load_tokenizer(folder), query_store, passage_store, backbone)
    rate = Rate(len(distinct), "pairs")
    return score_pairs(model, pairs, *np.divmod(distinct, len(passage_store)), tokens_per_batch, rate)[places]
