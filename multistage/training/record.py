"""What a stage has done: curves and totals for training.json, progress lines, TensorBoard."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multistage.jobs.log import Rate
from multistage.training.gradients import Work

Point = dict[str, float]


@dataclass
class StageRecord:
    """Curves and totals. The totals are this process's; several that train together do about the same.

    best_step, best_ndcg: of the best validation after training began. best_weights: the file that keeps its parameters, None
    for the last step's, which the model has.
    """

    loss: list[Point] = field(default_factory=list)
    validation: list[Point] = field(default_factory=list)
    best_step: int = 0
    best_ndcg: float = -1.0
    best_weights: dict[str, str] | None = None
    pairs: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    seconds: float = 0.0
    validation_seconds: float = 0.0
    interruptions: int = 0
    # Sums since the last point of the loss curve.
    steps_since: int = 0
    loss_since: float = 0.0
    tau_since: float = 0.0

    def add(self, work: Work, loss: float, tau: float) -> None:
        """Count a step."""
        self.pairs += work.pairs
        self.tokens += work.tokens
        self.padded_tokens += work.padded_tokens
        self.steps_since += 1
        self.loss_since += loss
        self.tau_since += tau

    def add_validation(self, step: int, ndcg: float) -> Point:
        """Add a point to the curves: mean loss and tau since the last one, nDCG@10 on the validation set."""
        self.validation.append({"step": step, "ndcg@10": ndcg})
        if not self.steps_since:
            return {"ndcg@10": ndcg}
        means = {"loss": self.loss_since / self.steps_since, "kendall_tau": self.tau_since / self.steps_since}
        self.loss.append({"step": step, **means})
        self.steps_since, self.loss_since, self.tau_since = 0, 0.0, 0.0
        return means | {"ndcg@10": ndcg}

    @property
    def padding_share(self) -> float:
        """The share of padding in the tokens that the model computed."""
        return 1 - self.tokens / max(1, self.padded_tokens)

    def summary(self) -> dict[str, Any]:
        """Totals and curves for training.json."""
        return {
            "pairs": self.pairs,
            "tokens": self.tokens,
            "padding_share": self.padding_share,
            "seconds": round(self.seconds, 1),
            "pairs_per_second": round(self.pairs / max(self.seconds, 1e-9), 1),
            "validation_share": round(self.validation_seconds / max(self.seconds, 1e-9), 4),
            "interruptions": self.interruptions,
            "loss": self.loss,
            "validation": self.validation,
        }


class Progress:
    """Reports a stage's progress: a line in the log every few seconds and, on request, TensorBoard event files."""

    def __init__(self, record: StageRecord, steps: int, done: int, tensorboard: str | Path | None) -> None:
        self.record, self.rate = record, Rate(steps, "steps", done)
        self.start, self.pairs, self.tokens = time.perf_counter(), record.pairs, record.tokens
        self.writer = None
        if tensorboard:
            from tensorboardX import SummaryWriter

            self.writer = SummaryWriter(str(tensorboard), purge_step=done)

    def advance(self, loss: float, learning_rate: float) -> None:
        """Report a step."""
        seconds, padding = time.perf_counter() - self.start, self.record.padding_share
        pairs, tokens = (self.record.pairs - self.pairs) / seconds, (self.record.tokens - self.tokens) / seconds
        self.rate.advance(1, f"loss {loss:.4f}, {pairs:,.0f} pairs/s, {tokens:,.0f} tokens/s, {padding:.1%} padding")
        self.write({"loss": loss, "learning_rate": learning_rate, "pairs_per_second": pairs, "tokens_per_second": tokens})

    def write(self, values: Point) -> None:
        """Values of the present step for TensorBoard."""
        if self.writer is not None:
            for name, value in values.items():
                self.writer.add_scalar(f"training/{name}", value, self.rate.done)

    def close(self) -> None:
        """Write out what TensorBoard has been given."""
        if self.writer is not None:
            self.writer.close()
