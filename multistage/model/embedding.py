"""Embeddings whose gradient is added row by row.

PyTorch makes a gradient of the whole table for every backward pass, 47 MB of zeros for BERT's vocabulary, and adds it to the
one before; a micro-batch touches a few thousand of its 30,522 rows. With some twenty micro-batches in a step that was a
twentieth of its time on a CPU.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding


class _Lookup(torch.autograd.Function):
    """table[ids]; the backward pass adds to the table's gradient in place. ids: (...), table: (rows, width)."""

    @staticmethod
    def forward(ctx: Any, ids: Tensor, table: Tensor, padding: int | None) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.table, ctx.padding = table, padding
        return embedding(ids, table)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None]:
        (ids,) = ctx.saved_tensors
        table = ctx.table
        if ctx.needs_input_grad[1]:
            rows, values = ids.flatten(), gradient.flatten(0, -2)
            if ctx.padding is not None:
                used = rows != ctx.padding
                rows, values = rows[used], values[used]
            if table.grad is None:
                table.grad = torch.zeros_like(table)
            table.grad.index_add_(0, rows, values)
        return None, None, None


class RowwiseEmbedding(nn.Embedding):
    """An embedding with the same parameters, results and accumulated gradient as `nn.Embedding`."""

    def forward(self, ids: Tensor) -> Tensor:
        """ids: (...). Returns (..., width)."""
        vectors: Tensor = _Lookup.apply(ids, self.weight, self.padding_idx)
        return vectors


def add_gradients_by_row(model: nn.Module) -> None:
    """Make every embedding of a model a `RowwiseEmbedding`, which `backward` trains but `torch.autograd.grad` does not see."""
    for module in model.modules():
        if type(module) is nn.Embedding and module.max_norm is None and not module.scale_grad_by_freq:
            module.__class__ = RowwiseEmbedding
