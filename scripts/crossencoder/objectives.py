"""Training objectives: losses over groups of one query's passages.

Every loss takes

    scores  (groups, passages) float32 logits of the cross-encoder, nan where a group is shorter than the widest
    ranks   (groups, passages) int64 target order, 1 is best, 0 where `scores` is padding

and returns a scalar. In a contrastive group the relevant passage has rank 1 and every negative rank 2; in a
distillation group the ranks are the teacher's.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

Loss = Callable[[Tensor, Tensor], Tensor]


def localized_contrastive(scores: Tensor, ranks: Tensor) -> Tensor:
    """Localized contrastive estimation: softmax cross-entropy of the relevant passage within its group.

    Gao, Dai & Callan, "Rethink Training of BERT Rerankers in Multi-stage Retrieval Pipeline" (ECIR 2021), eq. 5:
    -log(exp(s+) / sum over the group of exp(s)).

    Returns the mean over groups. Raises ValueError when a group does not have exactly one passage of rank 1.
    """
    relevant = ranks == 1
    if not bool((relevant.sum(dim=1) == 1).all()):
        raise ValueError("localized_contrastive: every group needs exactly one passage of rank 1")
    # A finite stand-in for minus infinity where there is no passage keeps nan out of the backward pass.
    filled = torch.where(ranks > 0, scores, torch.finfo(scores.dtype).min)
    return (torch.logsumexp(filled, dim=1) - filled[relevant]).mean()


def ranknet(scores: Tensor, ranks: Tensor) -> Tensor:
    """RankNet: pairwise logistic loss over every pair that the teacher orders.

    Burges et al., "Learning to Rank using Gradient Descent" (ICML 2005), eq. 3 with target probability 1:
    log(1 + exp(s_worse - s_better)).

    Returns the mean over ordered pairs of all groups; passages of equal rank are no pair, and a group without an ordered
    pair adds nothing. Zero, with zero gradient, when no group has one.
    """
    present = ranks > 0
    filled = torch.where(present, scores, 0.0)
    better = (ranks[:, :, None] < ranks[:, None, :]) & present[:, :, None] & present[:, None, :]
    difference = filled[:, :, None] - filled[:, None, :]
    losses = -logsigmoid(difference)
    return torch.where(better, losses, 0.0).sum() / better.sum().clamp(min=1)


LOSSES: dict[str, Loss] = {
    "localized-contrastive": localized_contrastive,
    "ranknet": ranknet,
}
