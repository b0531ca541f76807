"""Losses against formulas written out pair by pair, and by gradient check, on full and padded groups."""

import math

import pytest
import torch

from crossencoder.objectives import LOSSES, localized_contrastive, ranknet

FULL = torch.tensor([[0.3, -1.2, 2.0], [1.5, 0.1, -0.4]])
PADDED = torch.tensor([[0.3, -1.2, 2.0, 0.7], [1.5, 0.1, math.nan, math.nan]])
CONTRASTIVE = {"full": (FULL, [[1, 2, 2], [2, 1, 2]]), "padded": (PADDED, [[2, 1, 2, 2], [1, 2, 0, 0]])}
RANKED = {"full": (FULL, [[2, 3, 1], [1, 2, 3]]), "padded": (PADDED, [[3, 1, 4, 2], [2, 1, 0, 0]])}


def plain_localized_contrastive(scores: torch.Tensor, ranks: torch.Tensor) -> float:
    losses = []
    for row, order in zip(scores.tolist(), ranks.tolist(), strict=True):
        present = [score for score, rank in zip(row, order, strict=True) if rank]
        relevant = row[order.index(1)]
        losses.append(-math.log(math.exp(relevant) / sum(math.exp(score) for score in present)))
    return sum(losses) / len(losses)


def plain_ranknet(scores: torch.Tensor, ranks: torch.Tensor) -> float:
    losses = []
    for row, order in zip(scores.tolist(), ranks.tolist(), strict=True):
        for better, first in zip(row, order, strict=True):
            for worse, second in zip(row, order, strict=True):
                if first and second and first < second:
                    losses.append(math.log(1 + math.exp(worse - better)))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("case", ["full", "padded"])
@pytest.mark.parametrize(
    ("loss", "plain", "data"),
    [(localized_contrastive, plain_localized_contrastive, CONTRASTIVE), (ranknet, plain_ranknet, RANKED)],
)
def test_loss_is_the_plain_formula(loss, plain, data, case):
    scores, ranks = data[case][0], torch.tensor(data[case][1])
    assert loss(scores, ranks).item() == pytest.approx(plain(scores, ranks), rel=1e-6)


@pytest.mark.parametrize("case", ["full", "padded"])
@pytest.mark.parametrize(("loss", "data"), [(localized_contrastive, CONTRASTIVE), (ranknet, RANKED)])
def test_gradient_is_right_and_padding_gets_none(loss, data, case):
    values, ranks = data[case][0].double(), torch.tensor(data[case][1])
    present = ranks > 0

    def of_present(passages: torch.Tensor) -> torch.Tensor:
        scores = torch.full(values.shape, math.nan, dtype=torch.double)
        return loss(scores.index_put(torch.where(present), passages), ranks)

    assert torch.autograd.gradcheck(of_present, values[present].clone().requires_grad_(True))
    scores = values.clone().requires_grad_(True)
    loss(scores, ranks).backward()
    assert torch.equal(scores.grad[~present], torch.zeros_like(scores.grad[~present]))
    assert torch.isfinite(scores.grad).all()


@pytest.mark.parametrize(("loss", "data"), [(localized_contrastive, CONTRASTIVE), (ranknet, RANKED)])
def test_padding_changes_nothing(loss, data):
    scores, ranks = data["full"][0], torch.tensor(data["full"][1])
    wider = torch.nn.functional.pad(scores, (0, 3), value=math.nan)
    assert loss(wider, torch.nn.functional.pad(ranks, (0, 3))).item() == pytest.approx(loss(scores, ranks).item(), rel=1e-6)


def test_ranknet_ignores_ties_and_groups_without_an_ordered_pair():
    scores = torch.tensor([[1.0, 2.0], [0.5, -0.5]], requires_grad=True)
    loss = ranknet(scores, torch.tensor([[1, 1], [1, 2]]))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-1.0)), rel=1e-6)
    nothing = ranknet(scores, torch.tensor([[1, 1], [2, 2]]))
    nothing.backward()
    assert nothing.item() == 0 and not scores.grad.any()


def test_contrastive_group_needs_exactly_one_relevant_passage():
    for ranks in ([[2, 2, 2]], [[1, 1, 2]]):
        with pytest.raises(ValueError, match="exactly one passage of rank 1"):
            localized_contrastive(FULL[:1], torch.tensor(ranks))


def test_every_loss_of_the_schema_exists():
    import yaml

    from conftest import REPOSITORY

    schema = yaml.safe_load((REPOSITORY / "schemas" / "config.schema.yaml").read_text())
    assert set(schema["properties"]["objectives"]["additionalProperties"]["properties"]["loss"]["enum"]) == set(LOSSES)
