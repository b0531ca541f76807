"""oneDNN's linear layer is PyTorch's, forwards and backwards."""

import pytest
import torch
from torch import nn

from multistage.model.linear import OneDnnLinear, use_onednn

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch was built without oneDNN")


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7, 5), (3, 4, 5), (1, 5)])
def test_it_is_the_plain_linear_layer(shape, bias):
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(5, 6, bias=bias), nn.Tanh(), nn.Linear(6, 1, bias=bias))
    ours = nn.Sequential(nn.Linear(5, 6, bias=bias), nn.Tanh(), nn.Linear(6, 1, bias=bias))
    ours.load_state_dict(plain.state_dict())
    use_onednn(ours)
    assert isinstance(ours[0], OneDnnLinear) and list(ours.state_dict()) == list(plain.state_dict())
    inputs = [torch.randn(shape).requires_grad_(True)]
    inputs.append(inputs[0].detach().clone().requires_grad_(True))
    outputs = [model(values) for model, values in zip((plain, ours), inputs, strict=True)]
    assert outputs[0].shape == outputs[1].shape
    assert torch.allclose(*outputs, atol=1e-6)
    for output in outputs:
        output.square().sum().backward()
    assert torch.allclose(inputs[0].grad, inputs[1].grad, atol=1e-6)
    for expected, made in zip(plain.parameters(), ours.parameters(), strict=True):
        assert torch.allclose(expected.grad, made.grad, atol=1e-6)


def test_frozen_weights_get_no_gradient():
    layer = nn.Sequential(nn.Linear(3, 2))
    use_onednn(layer)
    layer[0].weight.requires_grad_(False)
    layer(torch.randn(4, 3)).sum().backward()
    assert layer[0].weight.grad is None and layer[0].bias.grad is not None


def test_other_precisions_are_left_alone():
    layer = nn.Linear(3, 2).double()
    use_onednn(layer)
    assert type(layer) is nn.Linear
