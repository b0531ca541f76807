"""Losses against formulas written out passage by passage, against sentence-transformers' own, and by gradient check."""

import math

import pytest
import torch
from scipy.stats import kendalltau

from multistage.config.training import LOSSES as READS
from multistage.training.losses import LOSSES, kendall_tau

NAN = math.nan
FULL = torch.tensor([[0.3, -1.2, 2.0, 0.8], [1.5, 0.1, -0.4, 0.2]])
PADDED = torch.tensor([[0.3, -1.2, 2.0, 0.7], [1.5, 0.1, NAN, NAN]])
TEACHER = {
    "full": torch.tensor([[1.4, 0.2, 3.0, 2.5], [2.0, 1.9, 0.3, 0.1]]),
    "padded": torch.tensor([[1.4, 2.2, 1.0, 2.0], [2.0, 2.5, NAN, NAN]]),
}
CONTRASTIVE = {"full": (FULL, [[1, 2, 2, 2], [2, 1, 2, 2]]), "padded": (PADDED, [[2, 1, 2, 2], [1, 2, 0, 0]])}
# As sampled from longer lists: the first need not be rank 1.
RANKED = {"full": (FULL, [[5, 8, 2, 3], [1, 2, 3, 4]]), "padded": (PADDED, [[3, 1, 4, 2], [2, 1, 0, 0]])}


def cases(case, contrastive=False):
    """Scores, ranks and teacher scores of a case, as losses take them."""
    scores, ranks = (CONTRASTIVE if contrastive else RANKED)[case]
    return scores, torch.tensor(ranks), TEACHER[case]


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def softmax(values):
    total = sum(map(math.exp, values))
    return [math.exp(value) / total for value in values]


def plain_localized_contrastive(scores, ranks, teacher):
    return -math.log(softmax(scores)[ranks.index(1)])


def plain_ranknet(scores, ranks, teacher, weight=lambda better, worse: 1.0):
    pairs = [(i, j) for i in range(len(ranks)) for j in range(len(ranks)) if ranks[i] < ranks[j]]
    weights = [weight(ranks[i], ranks[j]) for i, j in pairs]
    losses = [math.log(1 + math.exp(scores[j] - scores[i])) for i, j in pairs]
    return sum(w * loss for w, loss in zip(weights, losses, strict=True)) / sum(weights)


def plain_weighted_ranknet(scores, ranks, teacher):
    return plain_ranknet(scores, ranks, teacher, lambda better, worse: 1 / (better + worse))


def plain_listnet(scores, ranks, teacher):
    return sum(p * math.log(p / q) for p, q in zip(softmax(teacher), softmax(scores), strict=True))


def plain_margin_mse(scores, ranks, teacher):
    first = ranks.index(min(ranks))
    others = [place for place in range(len(ranks)) if place != first]
    return sum((scores[first] - scores[o] - (teacher[first] - teacher[o])) ** 2 for o in others) / len(others)


def plain_adr_mse(scores, ranks, teacher):
    total = 0.0
    for i, score in enumerate(scores):
        rank = 1 + sum(other < ranks[i] for other in ranks)
        approximate = 1 + sum(sigmoid(other - score) for j, other in enumerate(scores) if j != i)
        total += (rank - approximate) ** 2 / math.log2(rank + 1)
    return total / len(scores)


def plain_lambdaloss(scores, ranks, teacher):
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
    "ranknet": plain_ranknet,
    "weighted-ranknet": plain_weighted_ranknet,
    "listnet": plain_listnet,
    "margin-mse": plain_margin_mse,
    "adr-mse": plain_adr_mse,
    "lambdaloss": plain_lambdaloss,
}


@pytest.mark.parametrize("case", ["full", "padded"])
@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_the_plain_formula(name, case):
    scores, ranks, teacher = cases(case, name == "localized-contrastive")
    expected = []
    for line in range(len(ranks)):
        present = ranks[line] > 0
        group = (values[line][present].tolist() for values in (scores.double(), ranks, teacher.double()))
        expected.append(PLAIN[name](*group))
    assert LOSSES[name](scores, ranks, teacher).tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["adr-mse", "lambdaloss", "ranknet"])
def test_losses_on_ranks_take_contrastive_groups(name):
    scores, ranks, teacher = cases("full", contrastive=True)
    expected = PLAIN[name] if name != "adr-mse" else plain_adr_mse_of_contrastive
    groups = zip(scores.tolist(), ranks.tolist(), teacher.tolist(), strict=True)
    assert LOSSES[name](scores, ranks, teacher).tolist() == pytest.approx([expected(*group) for group in groups], rel=1e-5)


def plain_adr_mse_of_contrastive(scores, ranks, teacher):
    """Negatives share the mean of the ranks 2 to n."""
    tied = (2 + len(ranks)) / 2
    total = 0.0
    for i, score in enumerate(scores):
        rank = 1 if ranks[i] == 1 else tied
        approximate = 1 + sum(sigmoid(other - score) for j, other in enumerate(scores) if j != i)
        total += (rank - approximate) ** 2 / math.log2(rank + 1)
    return total / len(scores)


class Scorer(torch.nn.Module):
    """Stands where sentence-transformers' losses expect a CrossEncoder: the score of a pair is its passage's text."""

    num_labels = 1
    device = torch.device("cpu")

    def preprocess(self, pairs, **_):
        return {"values": torch.tensor([float(passage) for _, passage in pairs])}

    def forward(self, features):
        return {"scores": features["values"]}


@pytest.mark.parametrize("name", ["ranknet", "listnet", "adr-mse", "lambdaloss", "margin-mse"])
def test_loss_is_that_of_sentence_transformers(name, monkeypatch):
    """On one group at a time, with labels that say the same as our ranks or teacher scores."""
    from sentence_transformers.cross_encoder import losses

    theirs = {
        "ranknet": (losses.RankNetLoss, 1 / math.log(2)),  # it takes logarithms to base 2
        "listnet": (losses.ListNetLoss, 1.0),
        "adr-mse": (losses.ADRMSELoss, 1.0),
        "lambdaloss": (losses.LambdaLoss, 1.0),
        "margin-mse": (losses.MarginMSELoss, 1.0),
    }
    make, scale = theirs[name]
    monkeypatch.setattr("sentence_transformers.cross_encoder.losses.margin_mse.CrossEncoder", Scorer)
    scores, ranks, teacher = cases("full")
    order = ranks.argsort(dim=1)
    scores, ranks, teacher = (values.gather(1, order) for values in (scores, ranks, teacher))
    for line in range(2):
        passages = [repr(value) for value in scores[line].tolist()]
        if name == "margin-mse":
            inputs, labels = [["q"], *([passage] for passage in passages)], teacher[[line]]
        else:
            inputs = [["q"], [passages]]
            last = ranks[line].max()
            grades = {"listnet": teacher[line], "lambdaloss": (last - ranks[line]) / (last - 1)}
            labels = [grades.get(name, -ranks[line].float())]
        expected = make(Scorer())(inputs, labels).item() / scale
        if name == "listnet":  # cross-entropy, where ours is less the teacher's entropy
            expected -= torch.distributions.Categorical(logits=teacher[line]).entropy().item()
        found = LOSSES[name](scores[[line]], ranks[[line]], teacher[[line]]).item()
        assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("case", ["full", "padded"])
@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_right_and_padding_gets_none(name, case):
    scores, ranks, teacher = cases(case, name == "localized-contrastive")
    values, teacher, present = scores.double(), teacher.double(), ranks > 0

    def of_present(passages: torch.Tensor) -> torch.Tensor:
        filled = torch.full(values.shape, NAN, dtype=torch.double)
        return LOSSES[name](filled.masked_scatter(present, passages), ranks, teacher)

    assert torch.autograd.gradcheck(of_present, values[present].clone().requires_grad_(True))
    leaf = values.clone().requires_grad_(True)
    LOSSES[name](leaf, ranks, teacher).sum().backward()
    assert torch.equal(leaf.grad[~present], torch.zeros_like(leaf.grad[~present]))
    assert torch.isfinite(leaf.grad).all() and leaf.grad.abs().sum() > 0


@pytest.mark.parametrize("name", LOSSES)
def test_padding_changes_nothing(name):
    scores, ranks, teacher = cases("full", name == "localized-contrastive")

    def wider(values, value):
        return torch.nn.functional.pad(values, (0, 3), value=value)

    padded = LOSSES[name](wider(scores, NAN), wider(ranks, 0), wider(teacher, NAN))
    assert padded.tolist() == pytest.approx(LOSSES[name](scores, ranks, teacher).tolist(), rel=1e-6)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "localized-contrastive"])
def test_the_right_order_far_apart_costs_least(name):
    _, ranks, teacher = cases("full")
    ordered = -ranks.float()
    reversed_order = ranks.float()
    targets = teacher - teacher.mean(dim=1, keepdim=True) if READS[name] == "scores" else 20 * ordered
    good, bad = (LOSSES[name](scores, ranks, teacher) for scores in (targets, reversed_order))
    assert (good < 0.02).all() and (bad > good + 0.1).all()


@pytest.mark.parametrize("name", ["ranknet", "weighted-ranknet", "lambdaloss"])
def test_a_group_without_an_ordered_pair_costs_nothing(name):
    scores = torch.tensor([[1.0, 2.0], [0.5, -0.5]], requires_grad=True)
    losses = LOSSES[name](scores, torch.tensor([[2, 2], [1, 2]]), torch.full((2, 2), NAN))
    losses[0].backward()
    assert losses[0].item() == 0 and losses[1].item() > 0 and not scores.grad.any()


def test_a_contrastive_group_without_exactly_one_relevant_passage_has_no_loss():
    for ranks in ([[2, 2, 2, 2]], [[1, 1, 2, 2]]):
        assert LOSSES["localized-contrastive"](FULL[:1], torch.tensor(ranks), TEACHER["full"][:1]).isnan().all()


@pytest.mark.parametrize("case", ["full", "padded"])
def test_kendall_tau_is_scipys(case):
    scores, ranks, _ = cases(case)
    expected = []
    for line in range(len(ranks)):
        present = ranks[line] > 0
        expected.append(kendalltau(scores[line][present], -ranks[line][present]).statistic)
    assert kendall_tau(scores, ranks).tolist() == pytest.approx(expected)
    assert kendall_tau(scores, (ranks > 0).long()).isnan().all()


def test_the_config_knows_every_loss():
    assert READS.keys() == LOSSES.keys()
