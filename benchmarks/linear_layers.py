"""oneDNN's linear layers against PyTorch's own, on this CPU, one thread.  python -m benchmarks.linear_layers

Medians of interleaved runs, as ratios: a training step (forwards and backwards) and scoring, of BERT models of the
demo's size and of MiniLM's, with random weights, on pairs of 64 tokens.
"""

import statistics
import time

import torch
from transformers import BertConfig, BertForSequenceClassification

from multistage.model.linear import use_onednn

SIZES = {"2 layers, 128 wide": (2, 128, 2), "6 layers, 384 wide (MiniLM)": (6, 384, 12)}
PAIRS, TOKENS, RUNS = 64, 64, 9


def step(model: BertForSequenceClassification, ids: torch.Tensor) -> None:
    """One training step without the optimizer."""
    model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.sum().backward()
    model.zero_grad(set_to_none=True)


def score(model: BertForSequenceClassification, ids: torch.Tensor) -> None:
    """One scoring batch."""
    with torch.inference_mode():
        model(input_ids=ids, attention_mask=torch.ones_like(ids))


def main() -> None:
    """Print pairs a second of both, and the ratio."""
    torch.set_num_threads(1)
    for name, (layers, width, heads) in SIZES.items():
        config = BertConfig(
            num_hidden_layers=layers,
            hidden_size=width,
            num_attention_heads=heads,
            intermediate_size=4 * width,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            num_labels=1,
        )
        plain, ours = BertForSequenceClassification(config), BertForSequenceClassification(config)
        use_onednn(ours)
        ids = torch.randint(1000, 30000, (PAIRS, TOKENS))
        for task, work in (("training", step), ("scoring", score)):
            seconds: dict[str, list[float]] = {"plain": [], "oneDNN": []}
            for run in range(RUNS + 2):
                for label, model in (("plain", plain), ("oneDNN", ours)):
                    start = time.perf_counter()
                    work(model, ids)
                    if run >= 2:
                        seconds[label].append(time.perf_counter() - start)
            rates = {label: PAIRS / statistics.median(values) for label, values in seconds.items()}
            print(
                f"{name}, {task}: PyTorch {rates['plain']:.0f} pairs/s, oneDNN {rates['oneDNN']:.0f} pairs/s, "
                f"ratio {rates['oneDNN'] / rates['plain']:.2f}"
            )


if __name__ == "__main__":
    main()
