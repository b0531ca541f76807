"""Gradients added row by row are PyTorch's own, over several backward passes."""

import pytest
import torch
from torch import nn

from multistage.model.embedding import RowwiseEmbedding, add_gradients_by_row


@pytest.mark.parametrize("padding", [None, 0])
def test_gradients_accumulate_as_those_of_the_plain_embedding(padding):
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Embedding(7, 5, padding_idx=padding), nn.Linear(5, 1))
    ours = nn.Sequential(nn.Embedding(7, 5, padding_idx=padding), nn.Linear(5, 1))
    ours.load_state_dict(plain.state_dict())
    add_gradients_by_row(ours)
    assert isinstance(ours[0], RowwiseEmbedding) and list(ours.state_dict()) == list(plain.state_dict())
    for seed in range(3):
        ids = torch.randint(7, (4, 6), generator=torch.Generator().manual_seed(seed))
        outputs = [model(ids) for model in (plain, ours)]
        assert torch.equal(*outputs)
        for output in outputs:
            output.square().sum().backward()
    for expected, made in zip(plain.parameters(), ours.parameters(), strict=True):
        assert torch.allclose(expected.grad, made.grad, atol=1e-5)


def test_a_frozen_table_gets_no_gradient():
    model = nn.Sequential(nn.Embedding(7, 5), nn.Linear(5, 1))
    add_gradients_by_row(model)
    model[0].weight.requires_grad_(False)
    model(torch.tensor([1, 2])).sum().backward()
    assert model[0].weight.grad is None and model[1].weight.grad is not None


def test_without_a_gradient_it_only_looks_up():
    model = nn.Sequential(nn.Embedding(7, 5))
    add_gradients_by_row(model)
    with torch.no_grad():
        assert not model(torch.tensor([3])).requires_grad
