"""How well a model in training re-ranks the validation set."""

from typing import TYPE_CHECKING

import numpy as np

from multistage.data.tokens import Pairs
from multistage.data.validation_set import ValidationSet
from multistage.scoring.scoring import score_pairs

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def validation_ndcg(candidates: ValidationSet, model: "PreTrainedModel", pairs: Pairs, tokens_per_batch: int) -> float:
    """Mean nDCG@10 (linear gain) of the model's order of each query's candidates, against their ideal order."""
    from sklearn.metrics import ndcg_score  # takes a second to import, which jobs that only score do without

    line, column = np.nonzero(candidates.passages >= 0)
    scores = np.full(candidates.passages.shape, np.finfo(np.float32).min, dtype=np.float32)
    rows = candidates.queries[line], candidates.passages[line, column]
    scores[line, column] = score_pairs(model, pairs, *rows, tokens_per_batch=tokens_per_batch)
    return float(ndcg_score(candidates.grades, scores, k=10, ignore_ties=True))
