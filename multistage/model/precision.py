"""What encoders compute in: bfloat16 where the hardware has it, float32 where ranking needs it.

Pooler, head, losses, scores, the optimizer and the weights in training are always float32: in a list of scores of 8 significant
bits, one or two in ten tie.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import PreTrainedModel


def resolve(precision: str, device: torch.device) -> str:
    """float32 or bfloat16, which auto takes where the hardware has it; `python -m benchmarks.precision` measures the gain."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    processor = torch.cpu.get_capabilities()
    return "bfloat16" if processor.get("amx_bf16") or processor.get("avx512_bf16") else "float32"


def compute_in(precision: str, model: PreTrainedModel, training: bool) -> None:
    """Let an encoder, or the encoder of a classifier, compute in `precision`; in training its weights stay in float32.

    On CPUs without AMX oneDNN multiplies float32 matrices, exactly whatever the setting permits: on an AMD EPYC of Zen 5 2.2
    times as fast as MKL, PyTorch's default.
    """
    if not torch.cpu.get_capabilities().get("amx_bf16"):
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"  # type: ignore[attr-defined]
    if resolve(precision, model.device) == "bfloat16":
        use_bfloat16(model, training)


def use_bfloat16(model: PreTrainedModel, training: bool) -> None:
    """Let an encoder, or the encoder of a classifier, compute in bfloat16 and give its last hidden state in float32.

    training: keep the weights in float32 and cast them in each pass (autocast). Otherwise they are cast here, once. On a CPU
    attention is then by plain matrix products: the backward pass of PyTorch's fused kernel took a third of a step.
    """
    encoder, kind = model.base_model, model.device.type
    pooler = getattr(encoder, "pooler", None)
    if pooler is not None:
        pooler.register_forward_pre_hook(_float32_inputs)
        pooler.forward = torch.autocast(kind, enabled=False)(pooler.forward)
    forward = torch.autocast(kind, dtype=torch.bfloat16)(encoder.forward) if training else encoder.forward
    if training and kind == "cpu":
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)  # of CPUs as well; otherwise it computes in float32
        forward = sdpa_kernel(SDPBackend.MATH)(forward)
    encoder.forward = _with_float32_state(forward)
    if training:
        return
    for name, parameter in encoder.named_parameters():
        # Buffers stay as they are: rotary positions have their frequencies there, which 8 bits would blur.
        if not name.startswith("pooler."):
            parameter.data = parameter.data.to(torch.bfloat16)


def _float32_inputs(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(value.float() for value in inputs)


def _with_float32_state(forward: Callable[..., Any]) -> Callable[..., Any]:
    """A model's forward whose last hidden state is float32. No hook does this: sentence-transformers calls forward itself."""

    @wraps(forward)
    def wrapped(*inputs: Any, **options: Any) -> Any:
        output = forward(*inputs, **options)
        output.last_hidden_state = output.last_hidden_state.float()
        return output

    return wrapped
