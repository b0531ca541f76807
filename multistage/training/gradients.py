"""The exact gradient of a step's group losses, in whatever memory there is.

A step's groups are dealt to chunks whose activations fit in memory; a chunk's pairs are scored in micro-batches, and the loss
is taken over all their scores. Where even one group's activations do not fit, the micro-batches beyond the budget are scored
twice: without activations, and again with them when the gradient of the loss by their scores is known (gradient caching: Gao et
al., RepL4NLP 2021). Dropout is seeded for each micro-batch, so that both times drop the same units.
"""

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from multistage.data.sampling import StepBatch
from multistage.data.tokens import Ints, Pairs
from multistage.losses import Loss, Mixture, kendall_tau
from multistage.scoring.scoring import by_token_budget, logits, on_device
from multistage.training.parallel import gradients_summed


@dataclass(frozen=True)
class Memory:
    """What fits: tokens, padding included, in one forward pass, and those whose activations are kept at once. packed: pairs are
    end to end, without padding."""

    tokens_per_batch: int
    tokens_kept: int
    packed: bool = False


class MicroBatch(NamedTuple):
    """Pairs that are scored together. inputs: the model's. tokens: in them, without padding. group, column: (pairs,) each
    pair's place in the chunk's score matrix. seed: of its dropout."""

    inputs: dict[str, Tensor]
    tokens: int
    group: Tensor
    column: Tensor
    seed: int


class Chunk(NamedTuple):
    """Groups whose loss is taken together. targets: (groups, widest) each."""

    batches: list[MicroBatch]
    targets: dict[str, Tensor]


class Work(NamedTuple):
    """What was computed: pairs, and tokens with and without padding."""

    pairs: int
    tokens: int
    padded_tokens: int


def prepare(
    pairs: Pairs,
    step: StepBatch,
    memory: Memory,
    *,
    seed: tuple[int, ...],
    device: torch.device,
    process: int = 0,
    processes: int = 1,
) -> list[Chunk]:
    """A process's share of a step's groups as chunks on the device, without waiting for it. seed: identifies the step."""
    lengths = pairs.total_lengths(step.query_rows, step.passage_rows)
    chunks: list[Chunk] = []
    for parts in _chunks(lengths, step.group, _dealt(lengths, step.group, processes)[process], memory):
        groups = np.unique(step.group[np.concatenate(parts)])
        batches: list[MicroBatch] = []
        for chosen in parts:
            inputs = pairs.batch(step.query_rows[chosen], step.passage_rows[chosen], memory.packed)
            places = {"group": np.searchsorted(groups, step.group[chosen]), "column": step.column[chosen]}
            dropout = int(np.random.SeedSequence([*seed, process, len(chunks), len(batches)]).generate_state(1, np.uint64)[0])
            tokens = int(lengths[chosen].sum())
            batches.append(MicroBatch(on_device(inputs, device), tokens, **on_device(places, device), seed=dropout))
        targets = {name: target[groups] for name, target in step.targets.items()}
        chunks.append(Chunk(batches, on_device(targets, device)))
    return chunks


def accumulate(
    model: PreTrainedModel, chunks: list[Chunk], loss_of: Loss | Mixture, *, groups: int, tokens_kept: int
) -> tuple[Tensor, Tensor]:
    """Add the gradient of the chunks' share of a step's mean loss to the parameters, and sum it over processes.

    groups: how many the whole step has, over all processes. Returns the share of the loss, a scalar, and Kendall's tau of
    each group's scores with its target order, (groups here,), both on the device.
    """
    total, taus = torch.zeros((), device=model.device), []
    for chunk in chunks:
        with torch.enable_grad():
            scored, kept = [], 0
            for batch in chunk.batches:
                kept += batch.inputs["input_ids"].numel()
                with torch.set_grad_enabled(kept <= tokens_kept):
                    scored.append(_score(model, batch))
            order = chunk.targets["order"]
            leaves = [part.detach().requires_grad_() for part in scored]
            scores = torch.full(order.shape, torch.nan, device=model.device)
            places = tuple(torch.cat([getattr(batch, axis) for batch in chunk.batches]) for axis in ("group", "column"))
            scores = scores.index_put(places, torch.cat(leaves))
            loss = loss_of(scores, chunk.targets).sum() / groups
            loss.backward()
            total += loss.detach()
            taus.append(kendall_tau(scores.detach(), order))
            for number, (batch, leaf) in enumerate(zip(chunk.batches, leaves, strict=True)):
                part, scored[number] = scored[number], leaf  # each graph is freed when it has been used
                part = part if part.requires_grad else _score(model, batch)
                last = batch is chunks[-1].batches[-1]
                with gradients_summed(model.parameters()) if last else nullcontext():
                    part.backward(leaf.grad)
    return total, torch.cat(taus)


def work_of(chunks: list[Chunk]) -> Work:
    """What scoring the chunks once takes."""
    batches = [batch for chunk in chunks for batch in chunk.batches]
    return Work(
        pairs=sum(len(batch.group) for batch in batches),
        tokens=sum(batch.tokens for batch in batches),
        padded_tokens=sum(batch.inputs["input_ids"].numel() for batch in batches),
    )


def _score(model: PreTrainedModel, batch: MicroBatch) -> Tensor:
    torch.manual_seed(batch.seed)
    return logits(model, batch.inputs)


def _dealt(lengths: Ints, group: Ints, processes: int) -> list[Ints]:
    """The groups of each process: from the largest on, each goes to the process that has the fewest tokens."""
    sizes = np.bincount(group, weights=lengths)
    owner, loads = np.empty(len(sizes), dtype=np.int64), np.zeros(processes)
    for number in np.argsort(-sizes, kind="stable"):
        owner[number] = loads.argmin()
        loads[owner[number]] += sizes[number]
    return [np.flatnonzero(owner == process) for process in range(processes)]


def _chunks(lengths: Ints, group: Ints, groups: Ints, memory: Memory) -> Iterator[list[Ints]]:
    """Micro-batches of consecutive ones of `groups`, whose padded tokens fit the tokens kept; a larger group stands alone."""

    def batches(end: int) -> list[Ints]:
        members = np.flatnonzero(np.isin(group, groups[start:end]))
        return [members[part] for part in by_token_budget(lengths[members], memory.tokens_per_batch, memory.packed)]

    def padded_tokens(end: int) -> int:
        each = batches(end)
        return sum(int(lengths[batch].sum() if memory.packed else len(batch) * lengths[batch].max()) for batch in each)

    start = 0
    while start < len(groups):
        more = range(start + 2, len(groups) + 1)
        end = start + 1 + bisect_right(more, memory.tokens_kept, key=padded_tokens)
        yield batches(end)
        start = end
