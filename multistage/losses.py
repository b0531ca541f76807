"""Training losses: what a model learns from a group of one query's passages.

A loss compares the model's scores with the one thing that it reads of a group's passages,

    order       (groups, passages) int64 target ranks, 1 is best: the teacher's or, without a teacher, 1 for what is judged
                relevant and 2 for the rest; 0 for padding, and for a passage that the teacher did not rank
    scores      (groups, passages) float32 scores of the teacher; nan where it has none
    judgements  (groups, passages) int64 grades, above 0 is relevant, unjudged is 0; -1 for padding

and returns the loss of each group, (groups,): a step's loss is their mean, whatever their sizes, so that it does not
depend on how groups are dealt to micro-batches or processes. The model's scores are (groups, passages) float32 logits, nan
for padding. No loss waits for the device.

A new loss is a function with `@loss(name, reads=...)`: config check, schema, reference page and groups follow from that.
Importing this module does not import torch: the config is read by every job.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

import lazy_loader

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = lazy_loader.load("torch")

Reads = Literal["order", "scores", "judgements"]
Formula = Callable[["Tensor", "Tensor"], "Tensor"]


class Loss(NamedTuple):
    """A loss function, and what it reads."""

    reads: Reads
    formula: Formula

    def __call__(self, scores: "Tensor", targets: Mapping[str, "Tensor"]) -> "Tensor":
        """The loss of each group, (groups,), given all that is known of their passages."""
        return self.formula(scores, targets[self.reads])


LOSSES: dict[str, Loss] = {}


def loss(name: str, *, reads: Reads) -> Callable[[Formula], Formula]:
    """Register the decorated function."""

    def register(formula: Formula) -> Formula:
        LOSSES[name] = Loss(reads, formula)
        return formula

    return register


@loss("localized-contrastive", reads="judgements")
def localized_contrastive(scores: "Tensor", grades: "Tensor") -> "Tensor":
    """Localized contrastive estimation: softmax cross-entropy of the relevant passage within its group.

    Gao, Dai & Callan, "Rethink Training of BERT Rerankers in Multi-stage Retrieval Pipeline" (ECIR 2021), eq. 5:
    -log(exp(s+) / sum over the group of exp(s)).

    A group without exactly one relevant passage has no such loss: nan, which ends training with a message.
    """
    relevant = grades > 0
    filled = _filled(scores, grades >= 0)
    losses = torch.logsumexp(filled, dim=1) - torch.where(relevant, filled, 0.0).sum(dim=1)
    return torch.where(relevant.sum(dim=1) == 1, losses, torch.nan)


@loss("ranknet", reads="order")
def ranknet(scores: "Tensor", ranks: "Tensor") -> "Tensor":
    """RankNet: pairwise logistic loss over every pair that the target orders.

    Burges et al., "Learning to Rank using Gradient Descent" (ICML 2005), eq. 3 with target probability 1:
    log(1 + exp(s_worse - s_better)), the mean over the group's ordered pairs. Passages of equal rank are not a pair; a group
    without an ordered pair has loss zero.
    """
    return _pairwise(scores, ranks, _better(ranks).to(scores.dtype))


@loss("weighted-ranknet", reads="order")
def weighted_ranknet(scores: "Tensor", ranks: "Tensor") -> "Tensor":
    """RankNet with pairs weighted by the inverse sum of their ranks, so that mistakes near the top cost more.

    Reddy et al., "FIRST: Faster Improved Listwise Reranking with Single Token Decoding" (EMNLP 2024): weight
    1 / (i + j) for ranks i < j. The paper sums; this is the weighted mean, on RankNet's scale whatever the group's size.
    """
    together = (ranks[:, :, None] + ranks[:, None, :]).clamp(min=1)
    return _pairwise(scores, ranks, _better(ranks) / together)


@loss("listnet", reads="scores")
def listnet(scores: "Tensor", teacher: "Tensor") -> "Tensor":
    """ListNet on teacher scores: KL divergence of the model's softmax over the group from the teacher's.

    Cao et al., "Learning to Rank: From Pairwise Approach to Listwise Approach" (ICML 2007) with top-one
    probabilities, less the teacher's entropy, a constant: sum of p_teacher (log p_teacher - log p_model). Zero when both agree.
    """
    present = ~teacher.isnan()
    target = torch.log_softmax(_filled(teacher, present), dim=1)
    model = torch.log_softmax(_filled(scores, present), dim=1)
    return torch.where(present, target.exp() * (target - model), 0.0).sum(dim=1)


@loss("margin-mse", reads="scores")
def margin_mse(scores: "Tensor", teacher: "Tensor") -> "Tensor":
    """MarginMSE: squared error of the margin between the teacher's best passage and each other one.

    Hofstätter et al., "Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge Distillation" (2020):
    ((s+ - s-) - (t+ - t-))^2, where + is the passage the teacher scores highest, the mean over the group's others.
    """
    present = ~teacher.isnan()
    error = torch.where(present, scores - teacher, 0.0)
    best = _filled(teacher, present).argmax(dim=1, keepdim=True)
    others = present.scatter(1, best, False)
    margin = error.gather(1, best) - error
    return torch.where(others, margin.square(), 0.0).sum(dim=1) / others.sum(dim=1).clamp(min=1)


@loss("adr-mse", reads="order")
def adr_mse(scores: "Tensor", ranks: "Tensor") -> "Tensor":
    """ADR-MSE: discounted squared error of approximate ranks.

    Schlatt et al., "Rank-DistiLLM: Closing the Effectiveness Gap Between Cross-Encoders and LLMs for Passage Re-Ranking"
    (ECIR 2025): the mean of (r - r')^2 / log2(r + 1), where r is the passage's rank within its group and
    r' = 1 + sum over the others of sigmoid(s_other - s). Passages of equal rank share the mean of theirs.
    """
    present = ranks > 0
    both = present[:, :, None] & present[:, None, :]
    equal = (ranks[:, :, None] == ranks[:, None, :]) & both
    rank = _better(ranks).sum(dim=1) + (equal.sum(dim=1) + 1) / 2
    ahead = torch.where(both, torch.sigmoid(_differences(scores, ranks)), 0.0)
    approximate = 0.5 + ahead.sum(dim=1)  # a passage beats itself by half
    errors = (rank - approximate).square() / torch.log2(rank + 1)
    return torch.where(present, errors, 0.0).sum(dim=1) / present.sum(dim=1).clamp(min=1)


@loss("lambdaloss", reads="order")
def lambdaloss(scores: "Tensor", ranks: "Tensor") -> "Tensor":
    """LambdaLoss with the weights of NDCG-Loss2++.

    Wang et al., "The LambdaLoss Framework for Ranking Metric Optimization" (CIKM 2018), with mu = 10: over pairs that
    the target orders, -(10 rho + delta) |G_i - G_j| log2 sigmoid(s_i - s_j), the mean over those pairs. G is the gain
    2^y - 1 over the ideal DCG, with grades y falling linearly in rank from 1 for the first to 0 for the last of a group:
    relevant or not, without a teacher. delta and rho are the differences of discounts by predicted position.
    """
    present = ranks > 0
    last = ranks.amax(dim=1, keepdim=True)
    gain = torch.where(present, torch.exp2((last - ranks) / (last - 1).clamp(min=1)) - 1, 0.0)
    discount = 1 / torch.log2(torch.arange(ranks.shape[1], device=ranks.device) + 2.0)
    ideal = (gain.sort(dim=1, descending=True).values * discount).sum(dim=1).clamp(min=1e-10)
    order = _filled(scores, present).argsort(dim=1, descending=True, stable=True)
    position = order.argsort(dim=1)
    apart = (position[:, :, None] - position[:, None, :]).abs()
    rho = torch.where(apart > 0, discount[(apart - 1).clamp(min=0)] - discount[apart], 0.0)
    delta = (discount[position][:, :, None] - discount[position][:, None, :]).abs()
    gains = (gain[:, :, None] - gain[:, None, :]).abs() / ideal[:, None, None]
    better = _better(ranks)
    certainty = torch.nn.functional.logsigmoid(_differences(scores, ranks))
    losses = (10 * rho + delta) * gains * -certainty / torch.log(scores.new_tensor(2.0))
    return torch.where(better, losses, 0.0).sum(dim=(1, 2)) / better.sum(dim=(1, 2)).clamp(min=1)


def kendall_tau(scores: "Tensor", ranks: "Tensor") -> "Tensor":
    """Kendall's tau-a of each group's scores with its target order, (groups,): concordant less discordant pairs, over pairs.

    Only pairs that the target orders count; a group without one has tau nan.
    """
    better = _better(ranks)
    agreement = torch.where(better, _differences(scores, ranks).sign(), 0.0)
    return agreement.sum(dim=(1, 2)) / better.sum(dim=(1, 2))


def _filled(values: "Tensor", present: "Tensor") -> "Tensor":
    """`values` with a finite stand-in for minus infinity in place of padding: nan would enter the backward pass."""
    return torch.where(present, values, torch.finfo(values.dtype).min)


def _better(ranks: "Tensor") -> "Tensor":
    """(groups, passages, passages): whether the target puts the first passage above the second."""
    present = ranks > 0
    return (ranks[:, :, None] < ranks[:, None, :]) & present[:, :, None] & present[:, None, :]


def _differences(scores: "Tensor", ranks: "Tensor") -> "Tensor":
    """(groups, passages, passages): the first passage's score less the second's, finite for padding as well."""
    filled = torch.where(ranks > 0, scores, 0.0)
    return filled[:, :, None] - filled[:, None, :]


def _pairwise(scores: "Tensor", ranks: "Tensor", weights: "Tensor") -> "Tensor":
    """The weighted mean over pairs of log(1 + exp(s_worse - s_better)); weights are zero except for ordered pairs."""
    losses = weights * -torch.nn.functional.logsigmoid(_differences(scores, ranks))
    return losses.sum(dim=(1, 2)) / weights.sum(dim=(1, 2)).clamp(min=torch.finfo(weights.dtype).tiny)
