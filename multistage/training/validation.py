"""How well a model in training re-ranks the validation set, and how often that is measured."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from multistage.config.training import Objective
from multistage.data.sampling import Groups
from multistage.data.tokens import Pairs
from multistage.jobs.errors import InputError
from multistage.scoring.scoring import score_pairs
from multistage.training.parallel import process_count, process_number, summed

# What a training step costs of a pair, in forward passes: measured on a CPU; by multiplications it is three.
PASSES_PER_STEP = 2.5


def validation_interval(objective: Objective, steps: int, *, pairs: int, share: float) -> int:
    """Steps between two validations: `validate_every`, or more where that would cost more than the share of a stage's compute.

    A validation costs a forward pass over its pairs; the first is before training, the last after it.
    """
    affordable = share * steps * PASSES_PER_STEP * objective.queries_per_step * objective.group_size
    validations = max(1, int(affordable // pairs) - 1)
    return max(objective.validate_every, math.ceil(steps / validations))


@dataclass(frozen=True)
class Validator:
    """The validation set and its pairs. share: of a stage's compute that validation may take."""

    candidates: Groups
    pairs: Pairs
    share: float

    def ndcg(self, model: PreTrainedModel, tokens_per_batch: int) -> float:
        """Mean nDCG@10 (linear gain) of the model's order of each query's candidates, against their ideal order.

        Processes that train together score a share of the pairs each, and all have the result.
        Raises InputError for a score that is not finite.
        """
        from sklearn.metrics import ndcg_score  # takes a second to import, which jobs that only score do without

        queries, passages, grades = self.candidates.queries, self.candidates.passages, self.candidates.grades
        line, column = np.nonzero(passages >= 0)
        scores = np.full(passages.shape, np.finfo(np.float32).min, dtype=np.float32)
        rows = queries[line], passages[line, column]
        mine, found = slice(process_number(), None, process_count()), np.zeros(len(line), dtype=np.float32)
        found[mine] = score_pairs(model, self.pairs, *(each[mine] for each in rows), tokens_per_batch=tokens_per_batch)
        scores[line, column] = summed(torch.from_numpy(found).to(model.device)).cpu().numpy()
        for query, place in np.argwhere(~np.isfinite(scores))[:1]:
            raise InputError(
                f"what {model.name_or_path} has become scores query {queries[query]} and passage {passages[query, place]} of "
                f"the validation set {scores[query, place]} (counted from 0); try a lower learning rate or a longer warm-up."
            )
        return float(ndcg_score(grades, scores, k=10, ignore_ties=True))
