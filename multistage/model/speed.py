"""What makes a model faster, with the same scores and gradients up to rounding: memory that a process keeps between steps, a
mask for which the device is not waited for, and the last layer for the one token that is read.

The heads of these models read the first token alone. In the last layer, then, only its query, attention output and feed-forward
block are needed; and as a single query meets each key once, it is cheaper to carry the query back through the keys'
projection, q (W x) = (W' q) x, and to project the mean of the tokens it attends to instead of every token's value. No product
of a weight with all tokens is left in the layer. That is 8% of the products of a model of 12 layers, 17% of 6, half of 2.
"""

import ctypes
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Parameters of glibc's mallopt (malloc.h), the largest threshold that it accepts, and "never".
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
LARGEST_THRESHOLD = 32 * 1024 * 1024
NEVER = -1
# Encoders of BERT's structure, whose pooler or head takes `hidden_states[:, 0]`.
MODEL_TYPES = ("bert", "electra", "roberta", "xlm-roberta")


def read_first_token_only(model: "PreTrainedModel") -> None:
    """Let a sequence classifier's last layer compute the first token only, and no forward pass wait for the device.

    Other kinds of model are left as they are.
    """
    if model.config.model_type not in MODEL_TYPES or model.config._attn_implementation != "sdpa" or model.config.is_decoder:
        return
    trunk: Any = model.base_model
    layer = trunk.encoder.layer[-1]
    whole = layer.forward

    def forward(hidden: Tensor, attention_mask: Tensor | None = None, *more: Any, **options: Any) -> Tensor:
        """hidden: (pairs, tokens, width). attention_mask: (pairs, 1, 1, tokens) or None. Returns (pairs, 1, width)."""
        attention = layer.attention.self
        if not (isinstance(attention.key, nn.Linear) and isinstance(attention.value, nn.Linear)):
            first: Tensor = whole(hidden, attention_mask, *more, **options)[:, :1]
            return first  # An adapter's layer is more than its weight.
        mask = None if attention_mask is None else attention_mask[:, 0]
        context = attend(attention, hidden, mask)
        attended = layer.attention.output(context, hidden[:, :1])
        return layer.output(layer.intermediate(attended), attended)

    layer.forward = forward
    trunk.register_forward_pre_hook(_ready_mask, with_kwargs=True)


def _ready_mask(trunk: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The mask as (pairs, 1, 1, tokens) bool, which transformers takes as it is; of others it asks whether all is 1."""
    mask = options.get("attention_mask")
    return inputs, options if mask is None else options | {"attention_mask": mask[:, None, None].bool()}


def attend(attention: Any, hidden: Tensor, mask: Tensor | None) -> Tensor:
    """Multi-head attention (Vaswani et al. 2017) of the first token to all, without a projection of all.

    attention: BERT's, with linear layers query, key and value. hidden: (pairs, tokens, width). mask: (pairs, 1, tokens) bool,
    where it may look, or None. Returns (pairs, 1, width).
    """
    size = attention.attention_head_size
    query = attention.query(hidden[:, 0]).unflatten(-1, (-1, size))  # (pairs, heads, size)
    key, value = (_by_head(layer, size) for layer in (attention.key, attention.value))
    carried = torch.einsum("phs,hsw->phw", query, key[0])
    scores = carried @ hidden.transpose(1, 2) + (query * key[1]).sum(-1, keepdim=True)  # (pairs, heads, tokens)
    scores = scores / size**0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = dropout(scores.softmax(-1), attention.dropout.p, attention.training)
    context = torch.einsum("phw,hsw->phs", weights @ hidden, value[0]) + weights.sum(-1, keepdim=True) * value[1]
    return context.flatten(1).unsqueeze(1)


def _by_head(layer: nn.Linear, size: int) -> tuple[Tensor, Tensor]:
    """Weight (heads, size, width) and bias (heads, size) of a projection."""
    return layer.weight.unflatten(0, (-1, size)), layer.bias.unflatten(0, (-1, size))


def reuse_freed_memory() -> None:
    """Let glibc keep freed tensors' memory for the next ones, where it would return it to the system and fault it in anew.

    Training allocates and frees gigabytes of activations in every step; faulting them in took an eighth of its time. Other
    C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_THRESHOLD)
        mallopt(M_TRIM_THRESHOLD, NEVER)
        mallopt(M_TOP_PAD, 2 * LARGEST_THRESHOLD)
