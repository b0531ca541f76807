"""bfloat16 where it pays, float32 where ranking needs it."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def use_bfloat16_trunk(model: "PreTrainedModel") -> None:
    """Let the encoder's matrix products run in bfloat16 (autocast), and the pooler and the head in float32.

    Scores that leave a model in bfloat16 have 8 significant bits: one or two in ten of a list tie. Parameters stay float32.
    """
    kind = model.device.type
    trunk = model.base_model
    heads = [module for module in model.children() if module is not trunk]
    pooler = getattr(trunk, "pooler", None)
    for head in heads if pooler is None else [*heads, pooler]:
        head.register_forward_pre_hook(_to_float32)
        head.forward = torch.autocast(kind, enabled=False)(head.forward)
    trunk.forward = torch.autocast(kind, dtype=torch.bfloat16)(trunk.forward)


def _to_float32(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(value.float() if value.is_floating_point() else value for value in inputs)
