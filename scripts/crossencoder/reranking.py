"""Re-ranking a benchmark: every candidate of every first stage scored once, each run cut from the scores."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from collection.tables import read_ids
from jobs.files import replacing
from jobs.log import Rate
from trec.runs import read_run, rows_of, write_run

from .backbone import BackboneSettings
from .checkpoint import load_cross_encoder, load_tokenizer
from .scoring import score_pairs
from .stage import pairs_for
from .tokens import StoreFiles, TokenStore

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
    depth: int,
    backbone: BackboneSettings,
    tokens_per_batch: int,
    device: str,
    tag: str,
    outputs: list[str],
) -> None:
    """Re-rank the first `depth` passages of every query of each run; one output run per input run, in their order.

    tokens_per_batch: padded tokens in one forward pass.
    Raises InputError for a bad run, an unknown id, a checkpoint with several labels, before any output is written.
    """
    query_ids, passage_ids = read_ids(inputs.query_ids), read_ids(inputs.passage_ids)
    keys = []
    runs = [read_run(path, depth) for path in inputs.runs]
    for run, path in zip(runs, inputs.runs, strict=True):
        query_rows = rows_of(run["query"], query_ids, path, "query").astype(np.int64)
        keys.append(query_rows * len(passage_ids) + rows_of(run["passage"], passage_ids, path, "passage"))
    union = np.unique(np.concatenate(keys))
    logger.info("%s pairs in %d runs, %s distinct", f"{sum(map(len, keys)):,}", len(runs), f"{len(union):,}")
    folder = Path(inputs.model).parent
    model = load_cross_encoder(folder, device)
    pairs = pairs_for(load_tokenizer(folder), TokenStore(inputs.queries), TokenStore(inputs.passages), backbone)
    rate = Rate(len(union), "pairs")
    scores = score_pairs(model, pairs, *np.divmod(union, len(passage_ids)), tokens_per_batch, rate)
    with replacing(*outputs) as files:
        for run, key, file in zip(runs, keys, files, strict=True):
            write_run(file, run.assign(score=scores[np.searchsorted(union, key)]), tag)
