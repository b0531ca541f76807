"""Re-ranking 20 queries x 100 passages with a MiniLM-size cross-encoder on this CPU.  python -m benchmarks.rerank

Peers, on the same weights and texts, in the same run: sentence-transformers' `CrossEncoder.predict` at its best batch size
(tried first), and batches of whole queries padded to their longest pair. Both tokenise while they score; the workflow does
that once a collection, and what it takes is printed. The rankings must be the same.
"""

import time
from functools import partial

import numpy as np
import torch

from benchmarks.engine import LENGTHS, cpu_bench, prepare_bench
from benchmarks.timing import interleaved, report
from multistage.model.checkpoint import load_cross_encoder
from multistage.scoring.scoring import score_pairs

OURS = "ours, from the token store"


def main() -> None:
    """Print pairs a second and ratios."""
    from sentence_transformers import CrossEncoder

    with cpu_bench(__doc__.splitlines()[0], queries=20, tokens_per_batch=4096) as (options, bench, _):
        pairs, texts = bench.pairs, bench.text_pairs
        model = load_cross_encoder(bench.model, precision=options.precision)
        peer = CrossEncoder(bench.model, device="cpu", max_length=LENGTHS["max_length"])
        scores: dict[str, np.ndarray] = {}

        def ours() -> None:
            scores[OURS] = score_pairs(model, pairs, *bench.rows, tokens_per_batch=options.tokens_per_batch)

        def predict(size: int, pairs_to_score: list[tuple[str, str]] = texts) -> None:
            scores["predict"] = peer.predict(pairs_to_score, batch_size=size, show_progress_bar=False)

        @torch.inference_mode()
        def whole_queries() -> None:
            """Four queries a batch, padded to the longest pair of the four, as re-ranking code often does."""
            parts = []
            for start in range(0, len(texts), 4 * options.depth):
                queries, passages = zip(*texts[start : start + 4 * options.depth], strict=True)
                inputs = peer.tokenizer(
                    list(queries), list(passages), padding=True, truncation="only_second", max_length=256, return_tensors="pt"
                )
                parts.append(peer.model(**inputs).logits[:, 0])
            scores["whole"] = torch.cat(parts).numpy()

        few = texts[: max(1, options.queries // 5) * options.depth]
        tried = interleaved({str(size): partial(predict, size, few) for size in (4, 8, 16, 32, 64, 128)}, 1)
        best = min(tried, key=lambda size: tried[size])
        print("predict by batch size:", ", ".join(f"{size}: {len(few) / s:.1f} pairs/s" for size, s in tried.items()))
        start = time.perf_counter()
        prepare_bench(bench.model, bench.texts)
        print(f"tokenising all texts once: {time.perf_counter() - start:.2f} s")
        works = {
            OURS: ours,
            f"CrossEncoder.predict, batches of {best}": lambda: predict(int(best)),
            "whole queries, padded, 4 at a time": whole_queries,
        }
        report(len(texts), interleaved(works, options.runs, warm_up=0), OURS)
        for name in ("predict", "whole"):
            apart = float(np.abs(scores[OURS] - scores[name]).max())
            same = sum(
                (np.argsort(-scores[OURS][bench.rows[0] == q]) == np.argsort(-scores[name][bench.rows[0] == q])).all()
                for q in range(options.queries)
            )
            print(f"same ranking as {name}: {same} of {options.queries} queries; scores differ by at most {apart:.1e}")


if __name__ == "__main__":
    main()
