"""What bfloat16 gains on this CPU, and reading the first token only.  python -m benchmarks.precision

Scoring and training steps of one model over the same pairs, in float32 and in bfloat16, each as the workflow computes and with
all of the last layer: medians of interleaved runs, in CPU seconds on one thread, which other work disturbs little. Then how the
scores differ from float32's.
"""

import time
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.engine import cpu_bench
from benchmarks.timing import interleaved
from multistage.data.sampling import GroupSampler
from multistage.losses import LOSSES
from multistage.model.checkpoint import load_cross_encoder, set_dropout
from multistage.scoring.scoring import score_pairs
from multistage.training.gradients import Memory, accumulate, prepare

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def cpu_seconds(work: Callable[[], object]) -> float:
    """The CPU seconds that the work takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Print pairs a CPU second and ratios."""
    torch.set_num_threads(1)
    with cpu_bench(__doc__.splitlines()[0], queries=10, tokens_per_batch=2048) as (options, bench, _):
        print(f"{torch.cpu.get_capabilities()['cpu_name']}, torch {torch.__version__}")
        sampler = GroupSampler(bench.groups, contrast=False, size=options.depth, queries_per_step=options.queries, seed=42)
        memory = Memory(options.tokens_per_batch, 10**9)
        scores: dict[str, np.ndarray] = {}

        def load(precision: str, layer: str, training: bool) -> "PreTrainedModel":
            model = load_cross_encoder(bench.model, "cpu", precision, training=training)
            if layer == "whole last layer":
                trunk: Any = model.base_model
                del trunk.encoder.layer[-1].forward
            return model

        def score(name: str, model: "PreTrainedModel") -> None:
            scores[name] = score_pairs(model, bench.pairs, *bench.rows, tokens_per_batch=options.tokens_per_batch)

        def train(model: "PreTrainedModel", optimizer: torch.optim.Optimizer) -> None:
            chunks = prepare(bench.pairs, sampler.step(0), memory, seed=(42, 0), device=model.device)
            accumulate(model, chunks, LOSSES["ranknet"], groups=options.queries, tokens_kept=memory.tokens_kept)
            optimizer.step()
            optimizer.zero_grad()

        works: dict[str, dict[str, Callable[[], float]]] = {"scoring": {}, "training": {}}
        for precision, layer in product(("float32", "bfloat16"), ("first token", "whole last layer")):
            name = f"{precision}, {layer}"
            works["scoring"][name] = partial(cpu_seconds, partial(score, name, load(precision, layer, training=False)))
            model = load(precision, layer, training=True).train()
            set_dropout(model, 0.0)
            optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
            works["training"][name] = partial(cpu_seconds, partial(train, model, optimizer))
        for task, variants in works.items():
            seconds = interleaved(variants, options.runs)
            for name, value in seconds.items():
                ratio = seconds["float32, first token"] / value
                print(f"{task:<9} {name:<27}{len(bench.text_pairs) / value:9.1f} pairs/s{ratio:7.2f} ×", flush=True)
        exact, close = scores["float32, first token"], scores["bfloat16, first token"]
        print(
            f"bfloat16 scores: correlation {np.corrcoef(exact, close)[0, 1]:.6f}, "
            f"{1 - len(np.unique(close)) / len(close):.2%} tied, in float32 {1 - len(np.unique(exact)) / len(exact):.2%}"
        )


if __name__ == "__main__":
    main()
