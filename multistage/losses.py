"""Training losses: what a model learns from a group of one query's passages.

A loss compares the model's scores with what it reads of a group's passages,

    order       (groups, passages) int64 target ranks, 1 is best: the teacher's or, without a teacher, by grade, relevant before
                the rest; 0 for padding, and for a passage that the teacher did not rank
    scores      (groups, passages) float32 scores of the teacher; nan where it has none
    judgements  (groups, passages) int64 grades, above 0 is relevant, unjudged is 0; -1 for padding

and returns the loss of each group, (groups,): a step's loss is their mean, whatever their sizes, so that it does not
depend on how groups are dealt to micro-batches or processes. The model's scores are (groups, passages) float32 logits, nan
for padding. No loss waits for the device.

A new loss is a function with `@loss(name, reads=...)`: config check, schema, reference page and groups follow from that. Its
keyword arguments are keys of an objective: the temperature of a softmax, the weight of relevant passages.
Importing this module does not import torch: the config is read by every job.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:

    class _WhenUsed(ModuleType):
        def __getattr__(self, name: str) -> Any:
            return getattr(import_module(self.__name__), name)

    torch = _WhenUsed("torch")

Reads = Literal["order", "scores", "judgements"]
# How many relevant passages a group must have.
Relevant = Literal["any", "some", "one"]
Targets = Mapping[str, "Tensor"]
Formula = Callable[..., "Tensor"]


class Loss(NamedTuple):
    """A loss function, what it reads, and how many relevant passages it needs in a group."""

    formula: Formula
    reads: tuple[Reads, ...]
    relevant: Relevant

    @property
    def takes(self) -> tuple[str, ...]:
        """The keys of an objective that are its keyword arguments."""
        return tuple(self.formula.__kwdefaults__ or ())

    def __call__(self, scores: "Tensor", targets: Targets, **settings: float) -> "Tensor":
        """The loss of each group, (groups,), given all that is known of their passages."""
        return self.formula(scores, *(targets[what] for what in self.reads), **settings)


LOSSES: dict[str, Loss] = {}


@dataclass(frozen=True)
class Mixture:
    """The weighted sum of losses. weights, settings: by the name of the loss; settings are its keyword arguments."""

    weights: Mapping[str, float]
    settings: Mapping[str, Mapping[str, float]]

    def __call__(self, scores: "Tensor", targets: Targets) -> "Tensor":
        """The loss of each group, (groups,), given all that is known of their passages."""
        parts = [weight * LOSSES[name](scores, targets, **self.settings.get(name, {})) for name, weight in self.weights.items()]
        return torch.stack(parts).sum(dim=0)


def loss(name: str, *, reads: tuple[Reads, ...], relevant: Relevant = "any") -> Callable[[Formula], Formula]:
    """Register the decorated function, which is given what it reads in this order."""

    def register(formula: Formula) -> Formula:
        LOSSES[name] = Loss(formula, reads, relevant)
        return formula

    return register


@loss("localized-contrastive", reads=("judgements",), relevant="one")
def localized_contrastive(scores: "Tensor", grades: "Tensor", *, temperature: float = 1.0) -> "Tensor":
    """Localized contrastive estimation: softmax cross-entropy of the relevant passage within its group.

    Gao, Dai & Callan, "Rethink Training of BERT Rerankers in Multi-stage Retrieval Pipeline" (ECIR 2021), eq. 5:
    -log(exp(s+ / T) / sum over the group of exp(s / T)); there the temperature T is 1.

    A group without exactly one relevant passage has no such loss: nan, which ends training with a message.
    """
    relevant = grades > 0
    filled = _filled(scores / temperature, grades >= 0)
    losses = torch.logsumexp(filled, dim=1) - torch.where(relevant, filled, 0.0).sum(dim=1)
    return torch.where(relevant.sum(dim=1) == 1, losses, torch.nan)


@loss("bce", reads=("judgements",), relevant="some")
def bce(scores: "Tensor", grades: "Tensor", *, positive_weight: float = 1.0) -> "Tensor":
    """Binary cross-entropy of each passage by itself, as in monoBERT.

    Nogueira & Cho, "Passage Re-ranking with BERT" (2019): -log sigmoid(s) of a relevant passage, times `positive_weight`, and
    -log(1 - sigmoid(s)) of another one, the mean over the group's passages.
    """
    present = grades >= 0
    filled, labels = torch.where(present, scores, 0.0), (grades > 0).to(scores.dtype)
    weight = scores.new_tensor(positive_weight)
    losses = torch.nn.functional.binary_cross_entropy_with_logits(filled, labels, pos_weight=weight, reduction="none")
    return torch.where(present, losses, 0.0).sum(dim=1) / present.sum(dim=1).clamp(min=1)


@loss("ranknet", reads=("order",))
def ranknet(scores: "Tensor", ranks: "Tensor") -> "Tensor":
    """RankNet: pairwise logistic loss over every pair that the target orders.

    Burges et al., "Learning to Rank using Gradient Descent" (ICML 2005), eq. 3 with target probability 1:
    log(1 + exp(s_worse - s_better)), the mean over the group's ordered pairs. Passages of equal rank are not a pair; a group
    without an ordered pair has loss zero.
    """
    return _pairwise(scores, ranks, _better(ranks).to(scores.dtype))


@loss("weighted-ranknet", reads=("order",))
def weighted_ranknet(scores: "Tensor", ranks: "Tensor") -> "Tensor":
    """RankNet with pairs weighted by the inverse sum of their ranks, so that mistakes near the top cost more.

    Reddy et al., "FIRST: Faster Improved Listwise Reranking with Single Token Decoding" (EMNLP 2024): weight
    1 / (i + j) for ranks i < j. The paper sums; this is the weighted mean, on RankNet's scale whatever the group's size.
    """
    together = (ranks[:, :, None] + ranks[:, None, :]).clamp(min=1)
    return _pairwise(scores, ranks, _better(ranks) / together)


@loss("listnet", reads=("scores",))
def listnet(scores: "Tensor", teacher: "Tensor", *, temperature: float = 1.0) -> "Tensor":
    """ListNet on teacher scores: KL divergence of the model's softmax over the group from the teacher's.

    Cao et al., "Learning to Rank: From Pairwise Approach to Listwise Approach" (ICML 2007) with top-one
    probabilities, less the teacher's entropy, a constant: sum of p_teacher (log p_teacher - log p_model). Zero when both agree.
    p_teacher = softmax(t / T): a temperature T below 1 makes it steeper. The model's scores are not divided, unlike in
    Hinton et al., "Distilling the Knowledge in a Neural Network" (2015): they are logits, whose scale is learned.
    """
    present = ~teacher.isnan()
    target = torch.log_softmax(_filled(teacher / temperature, present), dim=1)
    model = torch.log_softmax(_filled(scores, present), dim=1)
    return torch.where(present, target.exp() * (target - model), 0.0).sum(dim=1)


@loss("margin-mse", reads=("scores", "judgements"))
def margin_mse(scores: "Tensor", teacher: "Tensor", grades: "Tensor") -> "Tensor":
    """MarginMSE: squared error of the margin between a relevant passage and each other one.

    Hofstätter et al., "Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge Distillation" (2020):
    ((s+ - s-) - (t+ - t-))^2, where + is each passage judged relevant that the teacher scores or, in a group without one, the
    passage that it scores highest; the mean over pairs. A passage that the teacher does not score is in no pair.
    """
    present = ~teacher.isnan()
    error = torch.where(present, scores - teacher, 0.0)
    relevant = present & (grades > 0)
    best = torch.zeros_like(present).scatter(1, _filled(teacher, present).argmax(dim=1, keepdim=True), True)
    first = torch.where(relevant.any(dim=1, keepdim=True), relevant, best & present)
    pairs = first[:, :, None] & (present & ~first)[:, None, :]
    margins = error[:, :, None] - error[:, None, :]
    return torch.where(pairs, margins.square(), 0.0).sum(dim=(1, 2)) / pairs.sum(dim=(1, 2)).clamp(min=1)


@loss("adr-mse", reads=("order",))
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


@loss("lambdaloss", reads=("order",))
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
