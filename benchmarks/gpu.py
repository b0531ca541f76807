"""Training and re-ranking with a base-size model on a GPU, beside their peers.  python -m benchmarks.gpu > figures.txt

Needs no checkpoint and no network: a BERT of the given size with random weights, its vocabulary and texts generated with MS
MARCO's lengths. Prints, in medians of interleaved runs: the card's bfloat16 matrix rate; pairs/s, ratios and the share of
that rate for optimizer steps of 4 x 4 queries x 100 passages and for re-ranking, beside sentence-transformers' trainer and
`predict` and beside whole queries padded; the share of time in which the GPU idles; peak memory with and without gradient
caching. With `--device cpu` and a small model the same code runs anywhere.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from benchmarks.engine import BACKBONE, Bench, prepare_bench
from benchmarks.texts import generated_candidates
from benchmarks.timing import interleaved, report
from benchmarks.train_step import trainer_step
from multistage.data.sampling import GroupSampler
from multistage.losses import LOSSES, ranknet
from multistage.model.checkpoint import load_cross_encoder, set_dropout
from multistage.scoring.scoring import score_pairs
from multistage.training.gradients import Chunk, Memory, accumulate, prepare

OURS = "ours"


def write_model(folder: Path, layers: int, width: int) -> None:
    """A random BERT re-ranker with a generated vocabulary, in BERT's layout."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [a + b + c for a in letters for b in letters for c in letters]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece({token: row for row, token in enumerate([*special, *words])}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        model_max_length=BACKBONE.max_length,
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        unk_token="[UNK]",
        mask_token="[MASK]",
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(special) + len(words),
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
    return 2 * size**3 / min(timed(lambda: left @ right, device) for _ in range(10))


def timed(work: Callable[[], object], device: str) -> float:
    """Seconds until the device has done the work."""
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - start


def synchronize(device: str) -> None:
    """Wait for the device."""
    if device == "cuda":
        torch.cuda.synchronize()


def forward_flops(bench: Bench, layers: int, width: int) -> float:
    """FLOPs that scoring every pair once needs, without padding.

    24 w^2 + 4 n w a token and layer, for n tokens of width w; the last layer, of which the first token alone is read, has next
    to none (`multistage.model.speed`).
    """
    lengths = bench.pairs.total_lengths(*bench.rows).astype(float)
    return float((lengths * (layers - 1) * (24 * width**2 + 4 * lengths * width)).sum())


class Training:
    """Our optimizer step over all groups of a bench."""

    def __init__(self, bench: Bench, device: str, memory: Memory) -> None:
        self.bench, self.device, self.memory = bench, device, memory
        self.model = load_cross_encoder(bench.model, device, training=True)
        set_dropout(self.model.train(), 0.0)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-5, fused=True)
        queries, depth = bench.groups.passages.shape
        self.sampler = GroupSampler(bench.groups, contrast=False, size=depth, queries_per_step=queries, seed=42)
        self.chunks = self._prepare()

    def _prepare(self) -> list[Chunk]:
        step = self.sampler.step(0)
        return prepare(self.bench.pairs, step, self.memory, seed=(42, 0), device=self.model.device)

    def step(self) -> None:
        """As a stage does it: the next step's batches are put together while the device works."""
        loss, _ = accumulate(
            self.model,
            self.chunks,
            LOSSES["ranknet"],
            groups=len(self.bench.groups.queries),
            tokens_kept=self.memory.tokens_kept,
        )
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 10.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.chunks = self._prepare()
        loss.item()


def whole_queries(bench: Bench, device: str, queries: int, train: bool) -> Callable[[], None]:
    """The usual way: so many whole queries a batch, tokenised on the spot, padded to the longest pair, bfloat16 throughout."""
    model = BertForSequenceClassification.from_pretrained(bench.model)
    torch.nn.Module.to(model, device)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(bench.model)
    set_dropout(model, 0.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    texts, depth = bench.text_pairs, bench.groups.passages.shape[1]
    ranks = torch.arange(1, depth + 1, device=device).expand(queries, depth)

    def work() -> None:
        with torch.set_grad_enabled(train), torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
            for start in range(0, len(texts), queries * depth):
                batch = texts[start : start + queries * depth]
                inputs = tokenizer(*map(list, zip(*batch, strict=True)), padding=True, truncation="only_second", max_length=256)
                scores = model(**inputs.convert_to_tensors("pt").to(device)).logits.float().view(-1, depth)
                if train:
                    ranknet(scores, ranks[: len(scores)]).mean().backward()
        if train:
            torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return work


def idle_share(work: Callable[[], object], device: str) -> float:
    """The share of the wall time in which no kernel runs."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        seconds = timed(work, device)
    return 1 - sum(event.self_device_time_total for event in profile.key_averages()) / 1e6 / seconds


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--queries", type=int, default=16, help="groups of an optimizer step")
    parser.add_argument("--depth", type=int, default=100, help="passages of a group")
    parser.add_argument("--tokens-per-batch", type=int, default=32768)
    parser.add_argument("--tokens-kept", type=int, default=262144)
    parser.add_argument("--matrix", type=int, default=8192)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    device = options.device
    card = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    rate = matrix_rate(device, options.matrix)
    print(f"{card}, torch {torch.__version__}: {rate / 1e12:.2f} TFLOP/s in bfloat16 products of {options.matrix}²")
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder) / "model", options.layers, options.width)
        tokenizer = Tokenizer.from_file(f"{folder}/model/tokenizer.json")
        texts = generated_candidates(options.queries, options.depth, tokenizer)
        bench = prepare_bench(f"{folder}/model", texts)
        flops = forward_flops(bench, options.layers, options.width)
        memory = Memory(options.tokens_per_batch, options.tokens_kept)
        count = len(bench.text_pairs)

        print(f"\ntraining, {options.queries} x {options.depth} pairs a step, {bench.texts.source}")
        ours = Training(bench, device, memory)
        padded = whole_queries(bench, device, min(4, options.queries), train=True)
        works = {
            OURS: lambda: timed(ours.step, device),
            "CrossEncoderTrainer, 4 x 4 queries": lambda: trainer_step(
                bench, f"{folder}/trainer", mini_batch=32, bf16=device == "cuda", device=device, queries=min(4, options.queries)
            ),
            "whole queries padded, 4 at a time": lambda: timed(padded, device),
        }
        seconds = interleaved(works, options.runs)
        report(count, seconds, OURS)
        print(f"share of the matrix rate: {3 * flops / seconds[OURS] / rate:.1%}")
        if device == "cuda":
            print(f"GPU idle: {idle_share(ours.step, device):.1%}")
        for kept in (options.tokens_kept, options.tokens_per_batch):
            ours.memory = Memory(options.tokens_per_batch, kept)
            ours.step()
            if device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            took = timed(ours.step, device)
            peak = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else float("nan")
            print(f"activations of {kept} tokens kept: {count / took:.0f} pairs/s, peak memory {peak:.1f} GiB")

        print(f"\nre-ranking, {count} pairs")
        rerank(bench, device=device, tokens_per_batch=options.tokens_per_batch, runs=options.runs, flops=flops, rate=rate)


def rerank(bench: Bench, *, device: str, tokens_per_batch: int, runs: int, flops: float, rate: float) -> None:
    """Print the re-ranking figures. flops: a pass over all pairs. rate: FLOP/s of matrix products."""
    from sentence_transformers import CrossEncoder

    model = load_cross_encoder(bench.model, device)
    peer = CrossEncoder(bench.model, device=device, model_kwargs={"dtype": torch.bfloat16} if device == "cuda" else {})
    padded = whole_queries(bench, device, min(4, len(bench.texts.queries)), train=False)

    def ours() -> None:
        score_pairs(model, bench.pairs, *bench.rows, tokens_per_batch=tokens_per_batch)

    def predict(size: int) -> Callable[[], float]:
        return lambda: timed(lambda: peer.predict(bench.text_pairs, batch_size=size, show_progress_bar=False), device)

    tried = {size: predict(size)() + predict(size)() for size in (64, 256, 1024)}
    best = min(tried, key=lambda size: tried[size])
    works = {
        OURS: lambda: timed(ours, device),
        f"CrossEncoder.predict, batches of {best}": predict(best),
        "whole queries padded, 4 at a time": lambda: timed(padded, device),
    }
    seconds = interleaved(works, runs)
    report(len(bench.text_pairs), seconds, OURS)
    print(f"share of the matrix rate: {flops / seconds[OURS] / rate:.1%}")
    if device == "cuda":
        print(f"GPU idle: {idle_share(ours, device):.1%}")


if __name__ == "__main__":
    main()
