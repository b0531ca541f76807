"""Losses against formulas written out passage by passage, and by gradient check."""

import math

import pytest
import torch
from scipy.stats import kendalltau

from multistage.losses import LOSSES, Mixture, kendall_tau

NAN = math.nan
FULL = torch.tensor([[0.3, -1.2, 2.0, 0.8], [1.5, 0.1, -0.4, 0.2]])
PADDED = torch.tensor([[0.3, -1.2, 2.0, 0.7], [1.5, 0.1, NAN, NAN]])
CASES = {
    "full": (
        FULL,
        {
            # As sampled from longer lists: the first need not have rank 1.
            "order": torch.tensor([[5, 8, 2, 3], [1, 2, 3, 4]]),
            "scores": torch.tensor([[1.4, 0.2, 3.0, 2.5], [2.0, 1.9, 0.3, 0.1]]),
            "judgements": torch.tensor([[3, 0, 0, 0], [0, 1, 0, 0]]),
        },
    ),
    "padded": (
        PADDED,
        {
            "order": torch.tensor([[3, 1, 4, 2], [2, 1, 0, 0]]),
            "scores": torch.tensor([[1.4, 2.2, 1.0, 2.0], [2.0, 2.5, NAN, NAN]]),
            "judgements": torch.tensor([[0, 1, 0, 0], [2, 0, -1, -1]]),
        },
    ),
    "order of judgements": (
        FULL,
        {
            "order": torch.tensor([[1, 2, 2, 2], [2, 1, 2, 2]]),
            "scores": torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]),
            "judgements": torch.tensor([[1, 0, 0, 0], [0, 1, 0, 0]]),
        },
    ),
}
every_loss = pytest.mark.parametrize("name", LOSSES)
every_case = pytest.mark.parametrize("case", CASES)


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def softmax(values):
    total = sum(map(math.exp, values))
    return [math.exp(value) / total for value in values]


def plain_localized_contrastive(scores, grades, temperature=1.0):
    return -math.log(softmax([score / temperature for score in scores])[grades.index(max(grades))])


def plain_bce(scores, grades, positive_weight=1.0):
    losses = [
        -positive_weight * math.log(sigmoid(score)) if grade > 0 else -math.log(1 - sigmoid(score))
        for score, grade in zip(scores, grades, strict=True)
    ]
    return sum(losses) / len(losses)


def plain_ranknet(scores, ranks, weight=lambda better, worse: 1.0):
    pairs = [(i, j) for i in range(len(ranks)) for j in range(len(ranks)) if ranks[i] < ranks[j]]
    weights = [weight(ranks[i], ranks[j]) for i, j in pairs]
    losses = [math.log(1 + math.exp(scores[j] - scores[i])) for i, j in pairs]
    return sum(w * loss for w, loss in zip(weights, losses, strict=True)) / sum(weights)


def plain_weighted_ranknet(scores, ranks):
    return plain_ranknet(scores, ranks, lambda better, worse: 1 / (better + worse))


def plain_listnet(scores, teacher, temperature=1.0):
    target = softmax([score / temperature for score in teacher])
    return sum(p * math.log(p / q) for p, q in zip(target, softmax(scores), strict=True))


def plain_margin_mse(scores, teacher, grades):
    scored = [place for place, score in enumerate(teacher) if not math.isnan(score)]
    best = [place for place in scored if grades[place] > 0] or [max(scored, key=teacher.__getitem__)]
    pairs = [(b, o) for b in best for o in scored if o not in best]
    return sum((scores[b] - scores[o] - (teacher[b] - teacher[o])) ** 2 for b, o in pairs) / len(pairs)


def plain_adr_mse(scores, ranks):
    total = 0.0
    for i, score in enumerate(scores):
        rank = sum(other < ranks[i] for other in ranks) + (ranks.count(ranks[i]) + 1) / 2
        approximate = 1 + sum(sigmoid(other - score) for j, other in enumerate(scores) if j != i)
        total += (rank - approximate) ** 2 / math.log2(rank + 1)
    return total / len(scores)


def plain_lambdaloss(scores, ranks):
    """NDCG-Loss2++ as in the paper: discounts D(i) = log2(1 + i), rho over |i - j|, delta over the two positions."""
    gains = [2 ** ((max(ranks) - rank) / (max(ranks) - 1)) - 1 for rank in ranks]
    ideal = sum(gain / math.log2(1 + place) for place, gain in enumerate(sorted(gains, reverse=True), start=1))
    position = [1 + sum(other > score for other in scores) for score in scores]
    losses = []
    for i in range(len(scores)):
        for j in range(len(scores)):
            if ranks[i] < ranks[j]:
                apart = abs(position[i] - position[j])
                rho = abs(1 / math.log2(1 + apart) - 1 / math.log2(2 + apart))
                delta = abs(1 / math.log2(1 + position[i]) - 1 / math.log2(1 + position[j]))
                gain = abs(gains[i] - gains[j]) / ideal
                losses.append(-(10 * rho + delta) * gain * math.log2(sigmoid(scores[i] - scores[j])))
    return sum(losses) / len(losses)


PLAIN = {
    "localized-contrastive": plain_localized_contrastive,
    "bce": plain_bce,
    "ranknet": plain_ranknet,
    "weighted-ranknet": plain_weighted_ranknet,
    "listnet": plain_listnet,
    "margin-mse": plain_margin_mse,
    "adr-mse": plain_adr_mse,
    "lambdaloss": plain_lambdaloss,
}


def plain(name, scores, targets, **settings):
    """The plain formula's loss of each group."""
    losses = []
    for line, present in enumerate(targets["order"] > 0):
        read = [targets[what][line][present].tolist() for what in LOSSES[name].reads]
        losses.append(PLAIN[name](scores[line][present].double().tolist(), *read, **settings))
    return losses


@every_case
@every_loss
def test_loss_is_the_plain_formula(name, case):
    scores, targets = CASES[case]
    assert LOSSES[name](scores, targets).tolist() == pytest.approx(plain(name, scores, targets), rel=1e-5)


@every_case
@pytest.mark.parametrize(("name", "key"), [(name, key) for name, loss in LOSSES.items() for key in loss.takes])
def test_settings_are_those_of_the_plain_formula(name, key, case):
    scores, targets = CASES[case]
    found = LOSSES[name](scores, targets, **{key: 0.3}).tolist()
    assert found == pytest.approx(plain(name, scores, targets, **{key: 0.3}), rel=1e-4)
    assert found != pytest.approx(plain(name, scores, targets), rel=1e-2)


@every_case
def test_a_mixture_is_the_weighted_sum(case):
    scores, targets = CASES[case]
    weights, settings = {name: 0.5 + place for place, name in enumerate(LOSSES)}, {"listnet": {"temperature": 0.3}}
    parts = [w * torch.tensor(plain(name, scores, targets, **settings.get(name, {}))) for name, w in weights.items()]
    assert Mixture(weights, settings)(scores, targets).tolist() == pytest.approx(sum(parts).tolist(), rel=1e-5)


class Fixed:
    """What sentence-transformers takes for a model: the score of passage "2" is the third."""

    device, num_labels = torch.device("cpu"), 1

    def __init__(self, scores):
        self.scores = scores

    def preprocess(self, pairs, **prompts):
        return {"places": torch.tensor([int(passage) for _, passage in pairs])}

    def __call__(self, inputs):
        return {"scores": self.scores[inputs["places"]]}


@pytest.mark.parametrize(
    ("name", "library", "scale"),
    [("ranknet", "RankNetLoss", math.log(2)), ("lambdaloss", "LambdaLoss", 1.0), ("listnet", "ListNetLoss", 1.0)],
)
@pytest.mark.parametrize("grades", [[1, 0, 0, 0], [0, 2, 1, 2]])
def test_losses_are_those_of_sentence_transformers(name, library, scale, grades):
    """On labels for our targets. Its RankNet takes logarithms to the base 2; its ListNet is the cross-entropy."""
    from sentence_transformers.cross_encoder import losses

    labels = torch.tensor(grades) / max(grades)
    targets = {"order": 1 + max(grades) - torch.tensor([grades]), "scores": labels[None]}
    theirs = getattr(losses, library)(Fixed(FULL[0]))([["query"], [list("0123")]], [labels]).item() * scale
    target = torch.softmax(labels, dim=0)
    constant = (target * target.log()).sum().item() if name == "listnet" else 0.0
    assert LOSSES[name](FULL[:1], targets).item() == pytest.approx(theirs + constant, rel=1e-4)


@pytest.mark.parametrize("name", ["margin-mse", "bce"])
@pytest.mark.parametrize(
    ("grades", "teacher"),
    [
        ([0, 2, 1, 0], [0.2, 0.1, 0.9, 3.0]),  # several relevant passages
        ([0, 2, 1, 0], [0.2, 0.1, NAN, 3.0]),  # one of them without a score
        ([0, 1, 0, 0], [0.2, NAN, 0.9, NAN]),  # none with a score: margins are those to the teacher's best
        ([0, 0, 0, 0], [0.2, 0.1, 0.9, 3.0]),
    ],
)
def test_any_number_of_relevant_passages(name, grades, teacher):
    targets = {"scores": torch.tensor([teacher]), "judgements": torch.tensor([grades]), "order": torch.tensor([[1, 2, 3, 4]])}
    assert LOSSES[name](FULL[:1], targets).tolist() == pytest.approx(plain(name, FULL[:1], targets), rel=1e-5)


@every_case
@every_loss
def test_gradient_is_right_and_padding_gets_none(name, case):
    scores, targets = CASES[case]
    values, present = scores.double(), targets["order"] > 0
    targets = targets | {"scores": targets["scores"].double()}

    def of_present(passages: torch.Tensor) -> torch.Tensor:
        filled = torch.full(values.shape, NAN, dtype=torch.double)
        return LOSSES[name](filled.masked_scatter(present, passages), targets)

    assert torch.autograd.gradcheck(of_present, values[present].clone().requires_grad_(True))
    leaf = values.clone().requires_grad_(True)
    LOSSES[name](leaf, targets).sum().backward()
    assert torch.equal(leaf.grad[~present], torch.zeros_like(leaf.grad[~present]))
    assert torch.isfinite(leaf.grad).all() and leaf.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["ranknet", "weighted-ranknet", "lambdaloss"])
def test_a_group_without_an_ordered_pair_costs_nothing(name):
    scores = torch.tensor([[1.0, 2.0], [0.5, -0.5]], requires_grad=True)
    losses = LOSSES[name](scores, {"order": torch.tensor([[2, 2], [1, 2]])})
    losses[0].backward()
    assert losses[0].item() == 0 and losses[1].item() > 0 and not scores.grad.any()


@pytest.mark.parametrize("grades", [[0, 0, 0, 0], [1, 2, 0, 0]])
def test_a_group_without_exactly_one_relevant_passage_has_no_contrastive_loss(grades):
    assert LOSSES["localized-contrastive"](FULL[:1], {"judgements": torch.tensor([grades])}).isnan().all()


@pytest.mark.parametrize("case", ["full", "padded"])
def test_kendall_tau_is_scipys(case):
    scores, ranks = CASES[case][0], CASES[case][1]["order"]
    expected = []
    for line, present in enumerate(ranks > 0):
        expected.append(kendalltau(scores[line][present], -ranks[line][present]).statistic)
    assert kendall_tau(scores, ranks).tolist() == pytest.approx(expected)
    assert kendall_tau(scores, (ranks > 0).long()).isnan().all()
