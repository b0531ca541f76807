"""How much of a training step is padding, at a GPU's budgets.  python -m benchmarks.padding

Steps of 16 groups of 100 passages and of 32 of 20, as the paper trains, on the demo's texts or others: the share of padding in
the tokens and the micro-batches of a step; dealt to two processes also the share of time that one waits for the other, if time
goes with tokens.
"""

import argparse
from itertools import product

import numpy as np
import torch

from benchmarks.engine import Bench, prepare_bench
from benchmarks.texts import demo_candidates, run_candidates
from multistage.data.sampling import GroupSampler
from multistage.training.gradients import Memory, prepare, work_of

STEPS = {"cl": (16, 100), "kd": (32, 20)}


def shares(bench: Bench, budget: int, *, queries: int, depth: int, steps: int, processes: int) -> tuple[float, float, float]:
    """Padding in the tokens, micro-batches of a step and process, waiting in the time."""
    tokens, batches, padded = 0, 0, np.zeros((processes, steps))
    sampler = GroupSampler(bench.groups, contrast=False, size=depth, queries_per_step=queries, seed=42)
    memory, cpu = Memory(budget, 2 * budget), torch.device("cpu")
    for step, process in product(range(steps), range(processes)):
        groups = sampler.step(step)
        chunks = prepare(bench.pairs, groups, memory, seed=(42,), device=cpu, process=process, processes=processes)
        work = work_of(chunks)
        tokens, padded[process, step] = tokens + work.tokens, work.padded_tokens
        batches += sum(len(chunk.batches) for chunk in chunks)
    waiting = 1 - padded.mean(axis=0).sum() / padded.max(axis=0).sum()
    return 1 - tokens / padded.sum(), batches / steps / processes, waiting


def main() -> None:
    """Print a line for each kind of step and budget."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default="results/checkpoints/minilm", help="a backbone's folder, for its tokenizer")
    parser.add_argument("--budgets", nargs="+", type=int, default=[8192, 16384, 32768, 65536], help="tokens_per_batch")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--texts", nargs=3, metavar=("RUN", "QUERIES", "PASSAGES"), help="as benchmarks.rerank takes them")
    options = parser.parse_args()
    for name, (queries, depth) in STEPS.items():
        size = {"queries": queries * options.steps, "depth": depth}
        texts = run_candidates(*options.texts, **size) if options.texts else demo_candidates(**size)
        bench = prepare_bench(options.checkpoint, texts)
        print(f"{texts.source}, {bench.pairs.total_lengths(*bench.rows).mean():.0f} tokens a pair")
        for budget in options.budgets:
            each = {"queries": queries, "depth": depth, "steps": options.steps}
            (one, batches, _), (two, _, idle) = (shares(bench, budget, **each, processes=count) for count in (1, 2))
            print(f"{budget:>7} tokens: {name} {queries}x{depth} padding {one:.1%} in {batches:.1f} micro-batches", end="; ")
            print(f"2 processes padding {two:.1%} idle {idle:.1%}")


if __name__ == "__main__":
    main()
