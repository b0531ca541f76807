"""Scoring (query, passage) pairs with a cross-encoder."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from jobs.log import Rate

from .batches import by_token_budget
from .tokens import Ints, Pairs

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def logits(model: "PreTrainedModel", inputs: dict[str, npt.NDArray[np.int64]]) -> Tensor:
    """The relevance logit of each pair: (pairs,) float32 on the model's device."""
    tensors = {name: torch.from_numpy(values).to(model.device) for name, values in inputs.items()}
    return model(**tensors).logits.squeeze(-1).float()


@torch.inference_mode()
def score_pairs(
    model: "PreTrainedModel",
    pairs: Pairs,
    query_rows: Ints,
    passage_rows: Ints,
    tokens_per_batch: int,
    rate: Rate | None = None,
) -> npt.NDArray[np.float32]:
    """Score every pair once, in batches by token budget over all of them.

    query_rows, passage_rows: (pairs,) store rows. Returns (pairs,) float32 logits in the same order.
    """
    model.eval()
    scores = np.empty(len(query_rows), dtype=np.float32)
    for batch in by_token_budget(pairs.total_lengths(query_rows, passage_rows), tokens_per_batch):
        scores[batch] = logits(model, pairs.batch(query_rows[batch], passage_rows[batch])).cpu().numpy()
        if rate is not None:
            rate.advance(len(batch))
    return scores
