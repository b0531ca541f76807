"""One fine-tuning stage: from a parent model and the groups of an objective to a model."""

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from transformers import get_scheduler

from jobs.errors import InputError
from jobs.log import Rate

from .batches import by_token_budget
from .groups import GroupSampler, StepBatch
from .objectives import LOSSES, Loss
from .scoring import logits
from .tokens import Pairs
from .validation import ValidationSet

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger("jobs")


@dataclass(frozen=True)
class StageSettings:
    """The part of an objective's config that fine-tuning uses; the keys are explained in config.yaml."""

    loss: str
    group_size: int
    queries_per_step: int
    steps: int
    learning_rate: float
    schedule: str
    warmup: float
    weight_decay: float
    max_gradient_norm: float
    validate_every: int


@dataclass
class StageRecord:
    """What a stage did: curves and totals for `training.json`."""

    loss: list[dict[str, float]] = field(default_factory=list)
    validation: list[dict[str, float]] = field(default_factory=list)
    pairs: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    seconds: float = 0.0

    def summary(self) -> dict[str, Any]:
        """Totals and curves as plain numbers."""
        return {
            "pairs": self.pairs,
            "tokens": self.tokens,
            "padding_share": 1 - self.tokens / max(1, self.padded_tokens),
            "seconds": round(self.seconds, 1),
            "pairs_per_second": round(self.pairs / max(self.seconds, 1e-9), 1),
            "loss": self.loss,
            "validation": self.validation,
        }


def run_stage(
    model: "PreTrainedModel",
    sampler: GroupSampler,
    pairs: Pairs,
    validation: ValidationSet,
    validation_pairs: Pairs,
    settings: StageSettings,
    tokens_per_batch: int,
    frozen: list[str],
    seed: int,
) -> StageRecord:
    """Fine-tune `model` in place for `settings.steps` optimizer steps.

    frozen: parameters whose name contains one of these are not trained; each must occur. tokens_per_batch: padded
    tokens a forward pass may hold. The result depends on the arguments alone: dropout is seeded by (seed, step).
    Raises InputError when the loss is not a finite number.
    """
    trained = list(_trained_parameters(model, frozen))
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    warmup_steps = round(settings.warmup * settings.steps)
    schedule = get_scheduler(settings.schedule, optimizer, num_warmup_steps=warmup_steps, num_training_steps=settings.steps)
    loss_of = LOSSES[settings.loss]
    record = StageRecord()
    rate = Rate(settings.steps, "steps")
    start = time.perf_counter()
    recent: list[float] = []
    record.validation.append({"step": 0, "ndcg@10": validation.ndcg(model, validation_pairs, tokens_per_batch)})
    for step in range(settings.steps):
        model.train()
        torch.manual_seed((seed << 32) + step)
        loss = group_loss(model, pairs, sampler.step(step), loss_of, tokens_per_batch, record)
        value = loss.item()
        if not math.isfinite(value):
            raise InputError(f"step {step + 1}: the loss is {value}; a lower learning rate or a longer warm-up may help.")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, settings.max_gradient_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        recent.append(value)
        done = step + 1
        if done % settings.validate_every == 0 or done == settings.steps:
            ndcg = validation.ndcg(model, validation_pairs, tokens_per_batch)
            record.loss.append({"step": done, "loss": float(np.mean(recent))})
            record.validation.append({"step": done, "ndcg@10": ndcg})
            logger.info("step %d: loss %.4f, validation nDCG@10 %.4f", done, np.mean(recent), ndcg)
            recent = []
        rate.advance(1, f"loss {value:.4f}, {record.pairs / (time.perf_counter() - start):.0f} pairs/s")
    record.seconds = time.perf_counter() - start
    return record


def group_loss(
    model: "PreTrainedModel", pairs: Pairs, batch: StepBatch, loss_of: Loss, tokens_per_batch: int, record: StageRecord
) -> Tensor:
    """The loss of one step: pairs scored in batches by token budget, put back into their groups, compared there."""
    lengths = pairs.total_lengths(batch.query_rows, batch.passage_rows)
    order, parts = [], []
    for part in by_token_budget(lengths, tokens_per_batch):
        inputs = pairs.batch(batch.query_rows[part], batch.passage_rows[part])
        parts.append(logits(model, inputs))
        order.append(part)
        record.padded_tokens += inputs["input_ids"].size
    record.pairs += len(lengths)
    record.tokens += int(lengths.sum())
    index = np.concatenate(order)
    scored = torch.cat(parts)
    scores = torch.full(batch.ranks.shape, torch.nan, dtype=scored.dtype, device=scored.device)
    place = tuple(torch.from_numpy(axis[index]).to(scored.device) for axis in (batch.group, batch.column))
    scores = scores.index_put(place, scored)
    return loss_of(scores, torch.from_numpy(batch.ranks).to(scores.device))


def _trained_parameters(model: "PreTrainedModel", frozen: list[str]) -> Iterator[torch.nn.Parameter]:
    """The parameters to optimise; switches gradients off for the frozen ones."""
    names = [name for name, _ in model.named_parameters()]
    for fragment in frozen:
        if not any(fragment in name for name in names):
            raise InputError(f"frozen: no parameter's name contains {fragment!r}; the model has {', '.join(names[:6])}, …")
    for name, parameter in model.named_parameters():
        if any(fragment in name for fragment in frozen):
            parameter.requires_grad_(False)
        else:
            yield parameter
