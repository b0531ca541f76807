"""A training step of 4 queries x 100 passages with a MiniLM-size cross-encoder on this CPU.  python -m benchmarks.train_step

The peer, on the same weights, groups and loss (RankNet), in the same run: sentence-transformers' `CrossEncoderTrainer`, whose
optimizer step has the same 4 groups, as it comes (forward passes of as many pairs as there are groups) and at its best
mini-batch size (tried first) in float32 and, where the processor has it, in bfloat16, in a process of its own, since ours
changes how a process multiplies and keeps memory. AdamW, clipping, no dropout.
"""

import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback

from benchmarks.engine import LENGTHS, Bench, cpu_bench
from benchmarks.timing import interleaved, report
from multistage.data.sampling import GroupSampler
from multistage.losses import LOSSES
from multistage.model.checkpoint import load_cross_encoder, set_dropout
from multistage.model.precision import resolve
from multistage.training.gradients import Memory, accumulate, prepare, work_of

OURS = "ours"


def synchronize() -> None:
    """Wait for the GPU, where one is at work."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


class StepTimer(TrainerCallback):
    """The seconds of each optimizer step of a trainer."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        synchronize()
        self.start = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        synchronize()
        self.seconds.append(time.perf_counter() - self.start)


def main() -> None:
    """Print pairs a second and the ratio."""
    with (
        cpu_bench(__doc__.splitlines()[0], queries=4, tokens_per_batch=2048) as (options, bench, folder),
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
    ):
        model = load_cross_encoder(bench.model, precision=options.precision, training=True)
        set_dropout(model.train(), 0.0)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
        sampler = GroupSampler(bench.groups, contrast=False, size=options.depth, queries_per_step=options.queries, seed=42)
        memory = Memory(options.tokens_per_batch, 10**9)
        work = []

        def ours() -> None:
            chunks = prepare(bench.pairs, sampler.step(0), memory, seed=(42, 0), device=model.device)
            accumulate(model, chunks, LOSSES["ranknet"], groups=options.queries, tokens_kept=memory.tokens_kept)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimizer.step()
            optimizer.zero_grad()
            work.append(work_of(chunks))

        def peer(size: int | None, bf16: bool = False) -> float:
            return pool.submit(trainer_step, bench, f"{folder}/trainer", mini_batch=size, bf16=bf16).result()

        peer(8)  # the first step of a process is slower
        tried = {size: peer(size) for size in (8, 16, 32)}
        best = min(tried, key=lambda size: tried[size])
        count = len(bench.text_pairs)
        print("trainer by mini-batch:", ", ".join(f"{size}: {count / s:.1f} pairs/s" for size, s in tried.items()))
        works = {
            OURS: ours,
            "CrossEncoderTrainer as it comes": lambda: peer(None),
            f"CrossEncoderTrainer, mini-batches of {best}": lambda: peer(best),
        }
        if resolve("auto", torch.device("cpu")) == "bfloat16":
            works[f"the same in bfloat16, mini-batches of {best}"] = lambda: peer(best, bf16=True)
        report(count, interleaved(works, options.runs, warm_up=0), OURS)
        print(f"our padding: {1 - work[-1].tokens / work[-1].padded_tokens:.1%} of the tokens")


def trainer_step(
    bench: Bench,
    folder: str,
    *,
    mini_batch: int | None,
    bf16: bool,
    device: str = "cpu",
    queries: int | None = None,
    attention: str = "sdpa",
) -> float:
    """Seconds of one optimizer step of sentence-transformers' trainer over all groups, from batch to weights.

    queries: groups in a batch, where gradients are to be accumulated over several; None: all. attention: transformers' name.
    """
    from datasets import Dataset
    from sentence_transformers import CrossEncoder, CrossEncoderTrainer, CrossEncoderTrainingArguments
    from sentence_transformers.cross_encoder.losses import RankNetLoss

    queries = queries or len(bench.texts.queries)
    options: dict[str, Any] = {"max_length": LENGTHS["max_length"], "model_kwargs": {"attn_implementation": attention}}
    peer = CrossEncoder(bench.model, device=device, **options)
    set_dropout(peer.model, 0.0)
    labels = [[-float(place) for place in range(len(passages))] for passages in bench.texts.passages]
    data = Dataset.from_dict({"query": bench.texts.queries, "docs": bench.texts.passages, "labels": labels})
    timer = StepTimer()
    trainer = CrossEncoderTrainer(
        model=peer,
        args=CrossEncoderTrainingArguments(
            folder,
            per_device_train_batch_size=queries,
            gradient_accumulation_steps=len(bench.texts.queries) // queries,
            max_steps=4 if device == "cuda" else 1,  # the last two when the device is warm
            bf16=bf16,
            learning_rate=1e-5,
            max_grad_norm=10.0,
            use_cpu=device == "cpu",
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            logging_strategy="no",
        ),
        train_dataset=data,
        loss=RankNetLoss(peer, mini_batch_size=mini_batch),
        callbacks=[timer],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return statistics.median(timer.seconds[len(timer.seconds) // 2 :])


if __name__ == "__main__":
    main()
