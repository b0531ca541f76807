"""Scoring (query, passage) pairs with a cross-encoder."""

from collections import deque
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
from multistage.jobs.log import Rate, logger

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


@torch.inference_mode()
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

    query_rows, passage_rows: (pairs,) store rows. Returns (pairs,) float32 logits in the same order. Where the device runs
    out of memory, batches get half as large. Raises InputError when one pair does not fit.
    """
    model.eval()
    scores = np.empty(len(query_rows), dtype=np.float32)
    lengths = pairs.total_lengths(query_rows, passage_rows)
    batches = deque(by_token_budget(lengths, tokens_per_batch))
    on_cpu = model.device.type == "cpu"
    waiting: deque[tuple[Ints, Tensor, torch.Event | None]] = deque()
    while batches or waiting:
        out_of_memory = False
        if batches:
            try:
                inputs = on_device(pairs.batch(query_rows[batches[0]], passage_rows[batches[0]]), model.device)
                result = logits(model, inputs).to("cpu", non_blocking=True)
                waiting.append((batches.popleft(), result, None if on_cpu else torch.cuda.current_stream().record_event()))
            except torch.OutOfMemoryError:
                out_of_memory = True
        # A batch is fetched when it is ready, while the device works on later ones; a CPU works on one.
        while len(waiting) > (IN_FLIGHT if batches and not (on_cpu or out_of_memory) else 0):
            done, result, ready = waiting.popleft()
            if ready is not None:
                ready.synchronize()
            scores[done] = result.numpy()
            if rate is not None:
                rate.advance(len(done))
        if out_of_memory:
            if tokens_per_batch <= pairs.max_length:
                raise InputError(f"the device's memory does not hold one pair of {pairs.max_length} tokens.")
            tokens_per_batch = max(pairs.max_length, tokens_per_batch // 2)
            torch.cuda.empty_cache()
            logger.warning(f"out of memory; from here on {tokens_per_batch} tokens in a batch")
            left = np.concatenate(batches)
            batches = deque(left[batch] for batch in by_token_budget(lengths[left], tokens_per_batch))
    return scores
