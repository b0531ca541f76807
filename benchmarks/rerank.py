"""Re-ranking 20 queries x 100 passages with a MiniLM-size cross-encoder on this CPU.  python -m benchmarks.rerank

Peers, on the same weights and texts, in the same run and in a process of their own, since ours changes how a process
multiplies and keeps memory: sentence-transformers' `CrossEncoder.predict` in float32 and, where the processor has it, in
bfloat16, at its best batch size (tried first), and batches of whole queries padded to their longest pair. They tokenise while
they score; the workflow does that once a collection, and what it takes is printed. With `--precision float32` the rankings
must be those of float32.
"""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from typing import Any

import numpy as np
import torch

from benchmarks.engine import LENGTHS, cpu_bench, prepare_bench
from benchmarks.timing import interleaved, report
from multistage.model.checkpoint import load_cross_encoder
from multistage.model.precision import resolve
from multistage.scoring.scoring import score_pairs

OURS = "ours, from the token store"
WHOLE = "whole queries, padded, 4 at a time"


@cache
def peer(model: str, precision: str) -> Any:
    """sentence-transformers' cross-encoder of a folder, in a torch precision."""
    from sentence_transformers import CrossEncoder

    options = {"dtype": getattr(torch, precision)}
    return CrossEncoder(model, device="cpu", max_length=LENGTHS["max_length"], model_kwargs=options)


def predict(model: str, texts: list[tuple[str, str]], *, size: int, precision: str) -> tuple[float, np.ndarray]:
    """Seconds and scores of `CrossEncoder.predict` with so many pairs a batch."""
    encoder, start = peer(model, precision), time.perf_counter()
    scores = encoder.predict(texts, batch_size=size, show_progress_bar=False)
    return time.perf_counter() - start, scores


@torch.inference_mode()
def whole_queries(model: str, texts: list[tuple[str, str]], *, size: int) -> tuple[float, np.ndarray]:
    """The same with so many pairs a batch as four queries have, padded to the longest, as re-ranking code often does."""
    encoder, start, parts = peer(model, "float32"), time.perf_counter(), []
    for first in range(0, len(texts), size):
        queries, passages = zip(*texts[first : first + size], strict=True)
        inputs = encoder.tokenizer(
            list(queries), list(passages), padding=True, truncation="only_second", max_length=256, return_tensors="pt"
        )
        parts.append(encoder.model(**inputs).logits[:, 0])
    return time.perf_counter() - start, torch.cat(parts).numpy()


def main() -> None:
    """Print pairs a second and ratios."""
    with (
        cpu_bench(__doc__.splitlines()[0], queries=20, tokens_per_batch=4096) as (options, bench, _),
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
    ):
        pairs, texts = bench.pairs, bench.text_pairs
        model = load_cross_encoder(bench.model, precision=options.precision)
        scores: dict[str, np.ndarray] = {}

        def ours() -> None:
            scores[OURS] = score_pairs(model, pairs, *bench.rows, tokens_per_batch=options.tokens_per_batch)

        def beside(name: str, work: Any, texts: list[tuple[str, str]] = texts, **how: Any) -> float:
            seconds, scores[name] = pool.submit(work, bench.model, texts, **how).result()
            return float(seconds)

        works: dict[str, Any] = {OURS: ours, WHOLE: partial(beside, WHOLE, whole_queries, size=4 * options.depth)}
        few = texts[: max(1, options.queries // 5) * options.depth]
        for precision in dict.fromkeys(["float32", resolve("auto", torch.device("cpu"))]):
            in_precision = partial(predict, precision=precision)
            sizes = {str(size): partial(beside, "", in_precision, few, size=size) for size in (8, 16, 32, 64)}
            tried = interleaved(sizes, 1)
            best = min(tried, key=lambda size: tried[size])
            print(f"predict in {precision}:", ", ".join(f"{size}: {len(few) / s:.1f} pairs/s" for size, s in tried.items()))
            name = f"predict in {precision}, batches of {best}"
            works[name] = partial(beside, name, in_precision, size=int(best))
        start = time.perf_counter()
        prepare_bench(bench.model, bench.texts)
        print(f"tokenising all texts once: {time.perf_counter() - start:.2f} s")
        report(len(texts), interleaved(works, options.runs, warm_up=0), OURS)
        for name in set(works) - {OURS}:
            apart = float(np.abs(scores[OURS] - scores[name]).max())
            same = 0
            for query in range(options.queries):
                own = bench.rows[0] == query
                same += int((np.argsort(-scores[OURS][own]) == np.argsort(-scores[name][own])).all())
            print(f"{name}: the same ranking of {same} of {options.queries} queries; scores differ by at most {apart:.1e}")


if __name__ == "__main__":
    main()
