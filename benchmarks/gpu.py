"""Training and re-ranking with a base-size model on a GPU, then their peers.  python -m benchmarks.gpu > figures.md

Runs where PyTorch, transformers and, for the peers, sentence-transformers are installed (whose trainer needs datasets and
accelerate as well), without a checkpoint or a network: a BERT of the given size with random weights, texts with MS MARCO's
lengths. Prints tables with a line for a config's budgets and for 8 to 64 thousand tokens in a micro-batch, padded and packed,
compiled and not: the FLOP/s that the pairs need and those that were done, with padding, beside those of the card's own bfloat16
products; padding; peak memory; the share of the time in which no kernel runs; the attention's kernel. Peers get flash attention
where it is installed. It is made to end within 10 minutes, and says what was left out. With `--device cpu` and a small model
the same code runs anywhere.
"""

import argparse
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import torch
import yaml
from tokenizers import Tokenizer
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

from benchmarks.engine import LENGTHS, Bench, prepare_bench
from benchmarks.texts import generated_candidates
from benchmarks.train_step import synchronize, trainer_step
from multistage.data.sampling import GroupSampler
from multistage.data.tokens import Ints
from multistage.losses import LOSSES, ranknet
from multistage.model.checkpoint import load_cross_encoder, set_dropout
from multistage.model.speed import compile_layers
from multistage.scoring.scoring import by_token_budget, score_pairs
from multistage.training.gradients import Chunk, Memory, accumulate, prepare

BUDGETS = (8192, 16384, 32768, 65536)
# In the names of kernels and, on CPUs, of operators.
FUSED_ATTENTION = re.compile(r"\w*(?:flash|fmha|sdpa)\w*|_scaled_dot_product\w+")
COLUMNS = (
    "pairs/s",
    "useful TFLOP/s",
    "of the products",
    "done TFLOP/s",
    "padding",
    "peak GiB",
    "idle",
    "attention",
    "ours is",
)


def write_model(folder: str, layers: int, width: int) -> None:
    """A random BERT re-ranker with a generated vocabulary."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(a + b + c for a in letters for b in letters for c in letters)]
    tokenizer = BertTokenizer(vocab={word: row for row, word in enumerate(words)}, model_max_length=LENGTHS["max_length"])
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        num_hidden_layers=layers,
        hidden_size=width,
        num_attention_heads=max(1, width // 64),
        intermediate_size=4 * width,
    )
    config.num_labels = 1
    BertForSequenceClassification(config).save_pretrained(folder)


def matrix_rate(device: str, size: int) -> float:
    """FLOP/s of a bfloat16 product of square matrices, the best of 10."""
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * size**3 / min(timed(lambda: left @ right) for _ in range(10))


def timed(work: Callable[[], object]) -> float:
    """Seconds until the device has done the work, or those that it returns as a float."""
    synchronize()
    start = time.perf_counter()
    own = work()
    synchronize()
    return own if isinstance(own, float) else time.perf_counter() - start


@dataclass
class Meter:
    """Prints a line for each work that goes over all pairs. lengths: (pairs,) their tokens. rate: FLOP/s of matrix products.
    end: when time is over, in seconds of `time.monotonic`. ours: seconds of the work that others are compared with."""

    device: str
    layers: int
    width: int
    lengths: Ints
    rate: float
    end: float
    ours: float | None = None

    def title(self, name: str, ours: float | None = None) -> None:
        """Begin a table, of works that `ours` seconds are compared with."""
        self.ours = ours
        print(f"\n| {name} | {' | '.join(COLUMNS)} |\n|---|{'---:|' * len(COLUMNS)}", flush=True)

    def line(self, name: str, work: Callable[[], object], passes: int, padded: Callable[[], Ints] | None = None) -> float:
        """Time a work, after once to warm up at least 3 times and 2 seconds, and print the median. Returns it.

        passes: forward passes that it takes as long as: 1, or 3 with the gradient. padded: gives (pairs,) their tokens as they
        were batched, where that is known.
        """
        if time.monotonic() > self.end:
            print(f"| {name} | left out: the time is over |")
            return float("nan")
        try:
            cells, seconds = self._measure(work, passes, padded)
        except torch.OutOfMemoryError:
            cells, seconds = ["out of memory"], float("nan")
        torch.cuda.empty_cache()
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
        return seconds

    def _measure(self, work: Callable[[], object], passes: int, padded: Callable[[], Ints] | None) -> tuple[list[str], float]:
        """The cells of a line, and the median seconds."""
        seconds: list[float] = []
        on_gpu = self.device == "cuda"
        own_clock = isinstance(work(), float)
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        enough = time.monotonic() + (2 if on_gpu else 0)
        while len(seconds) < 3 or time.monotonic() < enough:
            seconds.append(timed(work))
        peak = f"{torch.cuda.max_memory_allocated() / 2**30:.1f}" if on_gpu else ""
        kind = torch.profiler.ProfilerActivity.CUDA if on_gpu else torch.profiler.ProfilerActivity.CPU
        with torch.profiler.profile(activities=[kind], acc_events=True) as profile:
            whole = timed(work)
        events = sorted(profile.key_averages(), key=lambda event: -event.self_device_time_total)
        busy = sum(event.self_device_time_total for event in events) / 1e6
        kernels = [found[0] for event in events if (found := FUSED_ATTENTION.search(event.key))]
        median, tokens = statistics.median(seconds), None if padded is None else padded()
        useful = passes * self.flops(self.lengths) / median
        return [
            f"{len(self.lengths) / median:,.1f}",
            f"{useful / 1e12:.2f}",
            f"{useful / self.rate:.1%}",
            "" if tokens is None else f"{passes * self.flops(tokens) / median / 1e12:.2f}",
            "" if tokens is None else f"{1 - self.lengths.sum() / tokens.sum():.1%}",
            peak,
            f"{1 - busy / whole:.1%}" if on_gpu and not own_clock else "",
            kernels[0] if kernels else "not fused",
            "" if self.ours is None else f"{median / self.ours:.2f} ×",
        ], median

    def flops(self, lengths: Ints) -> float:
        """FLOPs of a forward pass over pairs of these lengths.

        24 w^2 + 4 n w a token and layer, for n tokens of width w; the last layer, of which the first token alone is read, has
        next to none (`multistage.model.speed`).
        """
        tokens, width = lengths.astype(float), self.width
        return float((tokens * (self.layers - 1) * (24 * width**2 + 4 * tokens * width)).sum())


class Training:
    """Our optimizer step over all groups of a bench."""

    def __init__(self, bench: Bench, device: str, compiled: bool) -> None:
        self.bench = bench
        self.model = load_cross_encoder(bench.model, device, training=True)
        if compiled:
            compile_layers(self.model)
        set_dropout(self.model.train(), 0.0)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-5, fused=True)
        queries, depth = bench.groups.passages.shape
        self.sampler = GroupSampler(bench.groups, contrast=False, size=depth, queries_per_step=queries, seed=42)

    def _prepare(self) -> list[Chunk]:
        return prepare(self.bench.pairs, self.sampler.step(0), self.memory, seed=(42, 0), device=self.model.device)

    def use(self, memory: Memory) -> None:
        """Take steps in this memory from here on."""
        self.memory = memory
        self.chunks = self._prepare()

    def step(self) -> None:
        """As a stage does it: the next step's batches are put together while the device works."""
        groups, kept = len(self.bench.groups.queries), self.memory.tokens_kept
        loss, _ = accumulate(self.model, self.chunks, LOSSES["ranknet"], groups=groups, tokens_kept=kept)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 10.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.chunks = self._prepare()
        loss.item()

    def padded(self) -> Ints:
        """(pairs,) the tokens that each takes in its micro-batch."""
        if self.memory.packed:
            return self.bench.pairs.total_lengths(*self.bench.rows)
        shapes = [batch.inputs["input_ids"].shape for chunk in self.chunks for batch in chunk.batches]
        return np.concatenate([np.full(pairs, longest) for pairs, longest in shapes])


def whole_queries(bench: Bench, device: str, queries: int, train: bool) -> Callable[[], None]:
    """The usual way: so many whole queries a batch, tokenised on the spot, padded to the longest pair, bfloat16 throughout."""
    model = BertForSequenceClassification.from_pretrained(bench.model)
    torch.nn.Module.to(model, device)
    tokenizer = BertTokenizer.from_pretrained(bench.model)
    set_dropout(model, 0.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    texts, depth = bench.text_pairs, bench.groups.passages.shape[1]
    ranks = torch.arange(1, depth + 1, device=device).expand(queries, depth)
    cut = {"truncation": "only_second", "max_length": LENGTHS["max_length"]}

    def work() -> None:
        with torch.set_grad_enabled(train), torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
            for start in range(0, len(texts), queries * depth):
                batch = texts[start : start + queries * depth]
                inputs = tokenizer(*map(list, zip(*batch, strict=True)), padding=True, **cut)
                scores = model(**inputs.convert_to_tensors("pt").to(device)).logits.float().view(-1, depth)
                if train:
                    ranknet(scores, ranks[: len(scores)]).mean().backward()
        if train:
            torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimizer.step()
            optimizer.zero_grad()

    return work


def ours(bench: Bench, meter: Meter, own: Memory) -> tuple[float, float]:
    """Print our figures. own: the config's budgets. Returns the seconds of a training step and of re-ranking with these."""
    memories = {"the config's budgets": own} | {f"{budget:,} tokens": Memory(budget, own.tokens_kept) for budget in BUDGETS}
    # On a CPU compiling takes minutes.
    variants, steps, passes = (False, True) if meter.device == "cuda" else (False,), [], []
    meter.title("training")
    for compiled in variants:
        training = Training(bench, meter.device, compiled)
        for packed, (name, memory) in product((False, True), memories.items()):
            training.use(replace(memory, packed=packed))
            full = f"{name}{', packed' * packed}{', compiled' * compiled}"
            steps.append(meter.line(full, training.step, 3, training.padded))
        del training

    def padded(budget: int) -> Ints:
        return np.concatenate([np.full(len(b), meter.lengths[b].max()) for b in by_token_budget(meter.lengths, budget)])

    meter.title("re-ranking")
    model = load_cross_encoder(bench.model, meter.device)
    for compiled in variants:
        if compiled:
            compile_layers(model)
        for name, memory in memories.items():
            budget = memory.tokens_per_batch
            score = partial(score_pairs, model, bench.pairs, *bench.rows, tokens_per_batch=budget)
            passes.append(meter.line(f"{name}{', compiled' * compiled}", score, 1, partial(padded, budget)))
    return steps[0], passes[0]


def peers(bench: Bench, meter: Meter, queries: int, step: float, scoring: float) -> None:
    """Print the peers' figures. queries: in a batch. step, scoring: our seconds."""
    device = meter.device
    attention = "flash_attention_2" if device == "cuda" and find_spec("flash_attn") else "sdpa"
    installed = {name for name in ("sentence_transformers", "datasets", "accelerate") if find_spec(name)}
    meter.title(f"training, {queries} queries in a batch", step)
    meter.line("whole queries padded", whole_queries(bench, device, queries, train=True), 3)
    if len(installed) == 3:
        with tempfile.TemporaryDirectory() as folder:
            peer = partial(
                trainer_step, bench, folder, bf16=device == "cuda", device=device, queries=queries, attention=attention
            )
            for size in (32, 128, 512) if device == "cuda" else (32,):
                meter.line(f"CrossEncoderTrainer, mini-batches of {size}", partial(peer, mini_batch=size), 3)
    meter.title("re-ranking", scoring)
    meter.line("whole queries padded", whole_queries(bench, device, queries, train=False), 1)
    if "sentence_transformers" in installed:
        from sentence_transformers import CrossEncoder

        kind = {"attn_implementation": attention} | ({"dtype": torch.bfloat16} if device == "cuda" else {})
        model = CrossEncoder(bench.model, device=device, max_length=LENGTHS["max_length"], model_kwargs=kind)
        for size in (64, 256, 1024):
            predict = partial(model.predict, bench.text_pairs, batch_size=size, show_progress_bar=False)
            meter.line(f"CrossEncoder.predict, batches of {size}", predict, 1)


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument(
        "--config", type=Path, default=Path("configs/ecir2025.yaml"), help="whose budgets of --backbone to take"
    )
    parser.add_argument("--backbone", default="electra")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--queries", type=int, default=16, help="groups of an optimizer step")
    parser.add_argument("--depth", type=int, default=100, help="passages of a group")
    parser.add_argument("--matrix", type=int, default=8192, help="rows of the products that give the card's rate")
    parser.add_argument("--minutes", type=float, default=8, help="start nothing after so many")
    options = parser.parse_args()
    end, device = time.monotonic() + 60 * options.minutes, options.device
    budgets = yaml.safe_load(options.config.read_text())["backbones"][options.backbone]
    own = Memory(budgets["tokens_per_batch"], budgets["tokens_kept"])
    card = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    rate = matrix_rate(device, options.matrix)
    print(f"{card}, torch {torch.__version__}: {rate / 1e12:.2f} TFLOP/s in bfloat16 products of {options.matrix}²")
    with tempfile.TemporaryDirectory() as folder:
        write_model(folder, options.layers, options.width)
        texts = generated_candidates(options.queries, options.depth, Tokenizer.from_file(f"{folder}/tokenizer.json"))
        bench = prepare_bench(folder, texts)
        lengths = bench.pairs.total_lengths(*bench.rows)
        print(f"{options.queries} x {options.depth} pairs, {texts.source}, {lengths.mean():.0f} tokens a pair; {own}")
        meter = Meter(device, options.layers, options.width, lengths, rate, end)
        step, scoring = ours(bench, meter, own)
        peers(bench, meter, min(4, options.queries), step, scoring)


if __name__ == "__main__":
    main()
