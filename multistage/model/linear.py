"""Linear layers through oneDNN on CPUs.

PyTorch multiplies float32 matrices with MKL, which does not use the wide vector units of every maker's processors; oneDNN does.
In the same precision, on one thread, it was 1.1 to 2.4 times as fast on two AMD EPYCs, by the width of their units, and 0.85 to
1.0 times on an Intel Xeon, where it is therefore not used (`benchmarks/linear_layers.py` measures whole models).
"""

from typing import Any

import torch
from torch import Tensor, nn


class _OneDnnLinear(torch.autograd.Function):
    """y = x W' + b, and its gradients, as three oneDNN products. x: (rows, in), W: (out, in), b: (out,) or None."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        return _product(inputs, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        inputs, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        return (
            _product(gradient, weight.t()) if wanted[0] else None,
            _weight_gradient(inputs, gradient) if wanted[1] else None,
            gradient.sum(0) if wanted[2] else None,
        )


class OneDnnLinear(nn.Linear):
    """A linear layer with the same parameters and results as `nn.Linear`, for float32 on a CPU."""

    def forward(self, inputs: Tensor) -> Tensor:
        """inputs: (..., in). Returns (..., out)."""
        rows = inputs.reshape(-1, self.in_features)
        outputs: Tensor = _OneDnnLinear.apply(rows, self.weight, self.bias)
        return outputs.view(*inputs.shape[:-1], self.out_features)


def use_onednn(model: nn.Module) -> None:
    """Make every linear layer of a model on a CPU a `OneDnnLinear`, where PyTorch was built with oneDNN.

    Parameters, their names and the state dict stay; so do layers that are a subclass of `nn.Linear` already.
    """
    if not torch.backends.mkldnn.is_available():
        return
    for module in model.modules():
        if type(module) is nn.Linear and module.weight.dtype == torch.float32:
            module.__class__ = OneDnnLinear


def _weight_gradient(inputs: Tensor, gradient: Tensor) -> Tensor:
    """gradient' inputs, (out, in), as the product that has more columns than rows: measured up to 1.4 times as fast."""
    if inputs.shape[1] > gradient.shape[1]:
        return _product(gradient.t(), inputs.t())
    return _product(inputs.t(), gradient.t()).t()


def _product(left: Tensor, right: Tensor, bias: Tensor | None = None) -> Tensor:
    """left @ right.T + bias; the operands may be transposed views."""
    return torch.ops.mkldnn._linear_pointwise(left, right, bias, "none", [], "")
