"""Computing the first token alone in the last layer changes neither scores nor gradients."""

import copy

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from multistage.model.speed import MODEL_TYPES, read_first_token_only
from small_models import random_model


class ReadsOfValues(TorchDispatchMode):
    """Counts what makes a process wait for its device: tensors that become Python's numbers."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("kind", MODEL_TYPES)
def test_scores_and_gradients_are_the_models(kind, padded):
    plain = random_model(kind)
    ours = copy.deepcopy(plain)
    read_first_token_only(ours)
    ids = torch.randint(1, 100, (5, 12))
    mask = torch.ones_like(ids)
    if padded:
        mask[1, 7:], mask[3, 2:] = 0, 0
    inputs = {"input_ids": ids * mask, "attention_mask": mask}
    scores = [model(**inputs).logits for model in (plain, ours)]
    assert torch.allclose(*scores, atol=1e-6)
    with ReadsOfValues() as reads:
        ours(**inputs)
    assert reads.count == 0, "a device would be waited for"
    for values in scores:
        values.square().sum().backward()
    gradients = [{name: p.grad for name, p in model.named_parameters() if p.grad is not None} for model in (plain, ours)]
    assert gradients[0].keys() == gradients[1].keys()
    for name, expected in gradients[0].items():
        assert torch.allclose(expected, gradients[1][name], atol=1e-6), name


@pytest.mark.parametrize("kind", MODEL_TYPES)
def test_dropout_falls_where_it_falls_otherwise(kind):
    """Attention, its output and the feed-forward block each drop units: their mean effect is the same."""
    plain = random_model(kind, attention_probs_dropout_prob=0.3, hidden_dropout_prob=0.3).train()
    ours = copy.deepcopy(plain)
    read_first_token_only(ours)
    ids = torch.randint(1, 100, (1, 12)).expand(4000, 12)
    with torch.no_grad():
        expected, found = (model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits for model in (plain, ours))
    assert found.mean().item() == pytest.approx(expected.mean().item(), abs=4 * expected.std().item() / 2000**0.5)
    assert found.std().item() == pytest.approx(expected.std().item(), rel=0.1)


def test_other_models_are_left_alone():
    model = random_model("distilbert", hidden_dim=64)
    read_first_token_only(model)
    assert not any("forward" in vars(module) for module in model.modules())
