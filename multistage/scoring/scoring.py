"""Scoring (query, passage) pairs with a cross-encoder."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from multistage.config.training import PairSettings
from multistage.data.tokens import Ints, Pairs, PairTemplate, TokenStore, vocabulary_fingerprint
from multistage.jobs.errors import InputError
from multistage.jobs.log import Rate

# Batches that are on their way through the device while the next one is put together.
IN_FLIGHT = 3
# What a batch costs beside its tokens, in tokens.
BATCH_COST = 512


def pairs_for(tokenizer: PreTrainedTokenizerBase, queries: TokenStore, passages: TokenStore, backbone: PairSettings) -> Pairs:
    """Pairs from two stores, after checking that both were made with the model's own vocabulary."""
    own = vocabulary_fingerprint(tokenizer)
    for store in (queries, passages):
        if store.fingerprint != own:
            raise InputError(
                f"{store.name}: tokenised with another vocabulary than the model's; name the right `tokenizer` for the "
                "backbone in the config."
            )
    template = PairTemplate.of(tokenizer)
    return Pairs(queries, passages, template, max_length=backbone.max_length, max_query_length=backbone.max_query_length)


def on_device(arrays: dict[str, npt.NDArray[Any]], device: torch.device) -> dict[str, Tensor]:
    """Arrays as tensors on the device, without waiting for it."""
    tensors = {name: torch.from_numpy(values) for name, values in arrays.items()}
    if device.type == "cpu":
        return tensors
    return {name: tensor.pin_memory().to(device, non_blocking=True) for name, tensor in tensors.items()}


def logits(model: PreTrainedModel, inputs: dict[str, Tensor]) -> Tensor:
    """The relevance logit of each pair: (pairs,) float32 on the model's device."""
    if "token_type_ids" not in signature(model.forward).parameters:  # DistilBERT, whose tokenizer is BERT's
        inputs = {name: values for name, values in inputs.items() if name != "token_type_ids"}
    scores: Tensor = model(**inputs).logits.squeeze(-1).float()
    return scores


def by_token_budget(lengths: Ints, budget: int, packed: bool = False) -> list[Ints]:
    """Split pairs into batches of at most `budget` tokens, padding included, the longest first.

    lengths: (pairs,) tokens of each pair. A pair of more than `budget` tokens gets its own batch. Returns index arrays that
    together hold every pair once; sorted by length, and ties keep their order. Of all ways to cut between two lengths it is the
    one of the lowest cost, tokens with padding and `BATCH_COST` a batch, by dynamic programming over the distinct lengths.
    packed: without padding, so in few batches of about as many tokens each.
    """
    if not len(lengths):
        return []
    order = np.argsort(-lengths, kind="stable")
    if packed:
        ends = lengths[order].cumsum()
        count = -(-ends[-1] // max(budget - lengths.max(), 1))  # of shares, each of which a pair may exceed
        return np.split(order, np.flatnonzero(np.diff((ends - 1) * count // ends[-1])) + 1)
    distinct, counts = np.unique(-lengths, return_counts=True)
    longest, ends = np.maximum(-distinct, 1), np.concatenate([[0], np.cumsum(counts)])
    sizes = np.maximum(budget // longest, 1)
    costs, cuts = np.zeros(len(ends)), np.zeros(len(ends), dtype=np.int64)
    for end in range(1, len(ends)):
        # The pairs from each earlier cut on, padded to the longest of them.
        pairs = ends[end] - ends[:end]
        cost = costs[:end] + pairs * longest[:end] + BATCH_COST * -(-pairs // sizes[:end])
        cuts[end] = cost.argmin()
        costs[end] = cost[cuts[end]]
    batches: list[Ints] = []
    end = len(ends) - 1
    while end:
        start = cuts[end]
        batches[:0] = np.split(order[ends[start] : ends[end]], range(sizes[start], ends[end] - ends[start], sizes[start]))
        end = start
    return batches


@contextmanager
def out_of_memory_named() -> Iterator[None]:
    """Say what to do where the device's memory is too small for what is computed in the block."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise InputError("out of memory: lower tokens_per_batch, and for training the backbone's tokens_kept.") from error


@torch.inference_mode()
@out_of_memory_named()
def score_pairs(
    model: PreTrainedModel,
    pairs: Pairs,
    query_rows: Ints,
    passage_rows: Ints,
    *,
    tokens_per_batch: int,
    rate: Rate | None = None,
) -> npt.NDArray[np.float32]:
    """Score every pair once, in batches by token budget over all of them.

    query_rows, passage_rows: (pairs,) store rows. Returns (pairs,) float32 logits in the same order.
    """
    model.eval()
    scores = np.empty(len(query_rows), dtype=np.float32)
    batches = deque(by_token_budget(pairs.total_lengths(query_rows, passage_rows), tokens_per_batch))
    on_cpu = model.device.type == "cpu"
    waiting: deque[tuple[Ints, Tensor, torch.Event | None]] = deque()
    while batches or waiting:
        if batches:
            batch = batches.popleft()
            inputs = on_device(pairs.batch(query_rows[batch], passage_rows[batch]), model.device)
            result = logits(model, inputs).to("cpu", non_blocking=True)
            waiting.append((batch, result, None if on_cpu else torch.cuda.current_stream().record_event()))
        # A batch is fetched when it is ready, while the device works on later ones; a CPU works on one.
        while len(waiting) > (IN_FLIGHT if batches and not on_cpu else 0):
            done, result, ready = waiting.popleft()
            if ready is not None:
                ready.synchronize()
            scores[done] = result.numpy()
            if rate is not None:
                rate.advance(len(done))
    return scores
