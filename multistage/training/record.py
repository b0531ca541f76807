"""What a stage has done: curves and totals for training.json, progress lines, TensorBoard."""

from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from multistage.jobs.log import Rate
from multistage.training.gradients import Work

Point = dict[str, float]


@dataclass
class StageRecord:
    """Curves and totals of this process. best_*: of the best validation after training began. since: loss and Kendall's tau of
    each step since the last point of the loss curve."""

    loss: list[Point] = field(default_factory=list)
    validation: list[Point] = field(default_factory=list)
    best_step: int = 0
    best_ndcg: float = -1.0
    pairs: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    seconds: float = 0.0
    validation_seconds: float = 0.0
    interruptions: int = 0
    since: list[tuple[float, float]] = field(default_factory=list)

    def add(self, work: Work, loss: float, tau: float) -> None:
        """Count a step."""
        self.pairs += work.pairs
        self.tokens += work.tokens
        self.padded_tokens += work.padded_tokens
        self.since.append((loss, tau))

    def add_validation(self, step: int, ndcg: float) -> Point:
        """Add a point to the curves: mean loss and tau since the last one, nDCG@10 on the validation set."""
        self.validation.append({"step": step, "ndcg@10": ndcg})
        if not self.since:
            return {"ndcg@10": ndcg}
        means = dict(zip(("loss", "kendall_tau"), map(fmean, zip(*self.since, strict=True)), strict=True))
        self.loss.append({"step": step, **means})
        self.since.clear()
        return means | {"ndcg@10": ndcg}

    @property
    def in_vain(self) -> int:
        """How many validations have followed the first one with the best value, of those after training began."""
        values = [point["ndcg@10"] for point in self.validation[1:]]
        return len(values) - 1 - values.index(max(values)) if values else 0

    def speed(self) -> Point:
        """Pairs and tokens, without padding, in a second, and the share of padding in the tokens that the model computed."""
        seconds = max(self.seconds, 1e-9)
        return {
            "pairs_per_second": self.pairs / seconds,
            "tokens_per_second": self.tokens / seconds,
            "padding_share": 1 - self.tokens / max(1, self.padded_tokens),
        }

    def summary(self) -> dict[str, Any]:
        """Totals and curves for training.json."""
        return {
            "pairs": self.pairs,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 1),
            **{name: round(value, 4) for name, value in self.speed().items()},
            "validation_share": round(self.validation_seconds / max(self.seconds, 1e-9), 4),
            "interruptions": self.interruptions,
            "loss": self.loss,
            "validation": self.validation,
        }


class Progress:
    """Reports a stage's progress: a line in the log every few seconds and, on request, TensorBoard event files."""

    def __init__(self, record: StageRecord, steps: int, done: int, tensorboard: str | Path | None) -> None:
        self.record, self.rate, self.writer = record, Rate(steps, "steps", done), None
        if tensorboard:
            from tensorboardX import SummaryWriter

            self.writer = SummaryWriter(str(tensorboard), purge_step=done)

    def advance(self, loss: float, learning_rate: float) -> None:
        """Report a step."""
        speed = self.record.speed()
        note = "loss {:.4f}, {pairs_per_second:,.0f} pairs/s, {tokens_per_second:,.0f} tokens/s, {padding_share:.1%} padding"
        self.rate.advance(1, note.format(loss, **speed))
        self.write({"loss": loss, "learning_rate": learning_rate, **speed})

    def write(self, values: Point) -> None:
        """Values of the present step for TensorBoard."""
        if self.writer is not None:
            for name, value in values.items():
                self.writer.add_scalar(f"training/{name}", value, self.rate.done)

    def close(self) -> None:
        """Write out what TensorBoard has been given."""
        if self.writer is not None:
            self.writer.close()
