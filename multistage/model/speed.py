"""What makes a model faster, with the same scores and gradients up to rounding: memory that a process keeps between steps, a
mask for which the device is not waited for, pairs without padding, and the last layer for the one token that is read.

Packed pairs are one sequence, `input_ids` (1, tokens) beside an `attention_mask` (pairs, longest) that tells their lengths.
Attention stays within each pair: PyTorch's for nested tensors, on GPUs flash attention. The last layer pads what it reads.

The heads of these models read the first token alone, so the last layer needs only its query, attention output and feed-forward
block. It is cheaper to carry that query back through the keys' projection, q (W x) = (W' q) x, and to project the mean of the
tokens it attends to instead of every token's value. That saves 8% of the products of a model of 12 layers, half of 2.
"""

import ctypes
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, pad, scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask
from transformers.modeling_layers import GradientCheckpointingLayer

from multistage.jobs.errors import InputError

# For glibc's mallopt (malloc.h): M_MMAP_THRESHOLD, the largest that it accepts, M_TRIM_THRESHOLD, never, and M_TOP_PAD.
MALLOPT = {-3: 32 * 2**20, -1: -1, -2: 64 * 2**20}
# Encoders of BERT's structure, whose pooler or head takes `hidden_states[:, 0]`.
MODEL_TYPES = ("bert", "electra", "roberta", "xlm-roberta")


def read_first_token_only(model: PreTrainedModel) -> None:
    """Let a sequence classifier's last layer compute the first token only, no forward pass wait for the device, and packed
    pairs be read as well. Other kinds of model, and one that has been prepared, are left as they are."""
    if model.config._attn_implementation == WITHIN_PAIRS or not _reads_packed(model):
        return
    trunk: Any = model.base_model
    layer = trunk.encoder.layer[-1]
    whole = layer.forward

    def forward(hidden: Tensor, attention_mask: Tensor | None = None, *more: Any, **options: Any) -> Tensor:
        """hidden: (pairs, tokens, width). attention_mask: (pairs, 1, 1, tokens) or None. Returns (pairs, 1, width)."""
        attention = layer.attention.self
        if _is_packed(hidden, attention_mask):
            hidden = _padded(hidden, attention_mask)
        if not (isinstance(attention.key, nn.Linear) and isinstance(attention.value, nn.Linear)):
            first: Tensor = whole(hidden, attention_mask, *more, **options)[:, :1]
            return first  # An adapter's layer is more than its weight.
        mask = None if attention_mask is None else attention_mask[:, 0]
        context = attend(attention, hidden, mask)
        attended = layer.attention.output(context, hidden[:, :1])
        return layer.output(layer.intermediate(attended), attended)

    layer.forward = forward
    trunk.register_forward_pre_hook(_ready_inputs, with_kwargs=True)
    model.set_attn_implementation(WITHIN_PAIRS)


def _ready_inputs(trunk: Any, inputs: tuple[Any, ...], options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The mask as (pairs, 1, 1, tokens) bool, which transformers takes as it is; of packed pairs also each token's position."""
    mask, ids = options.get("attention_mask"), inputs[0] if inputs else options["input_ids"]
    if mask is None:
        return inputs, options
    ready = {"attention_mask": mask[:, None, None].bool()}
    if _is_packed(ids, mask):
        lengths, tokens = mask.sum(1), ids.shape[1]
        starts = (lengths.cumsum(0) - lengths).repeat_interleave(lengths, output_size=tokens)
        padding = trunk.embeddings.position_embeddings.padding_idx  # RoBERTa counts positions from behind the padding's.
        first = 0 if padding is None else padding + 1
        ready["position_ids"] = (torch.arange(first, first + tokens, device=ids.device) - starts)[None]
    return inputs, options | ready


def require_packed(model: PreTrainedModel) -> None:
    """Raise InputError unless a re-ranker reads packed pairs where it is loaded."""
    if not _reads_packed(model):
        raise InputError(f"packed: models of the kind {model.config.model_type} cannot train without padding; set it to false.")


def _reads_packed(model: PreTrainedModel) -> bool:
    config = model.config
    known = config.model_type in MODEL_TYPES and config._attn_implementation in ("sdpa", WITHIN_PAIRS)
    return known and not config.is_decoder


def _is_packed(values: Tensor, mask: Tensor | None) -> bool:
    """Whether values (1, tokens, ...) hold the pairs of a mask (pairs, ..., longest) end to end. One pair alone is both."""
    return mask is not None and values.shape[:2] != (mask.shape[0], mask.shape[-1])


def _attend_within_pairs(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Attention as transformers calls it: (pairs, heads, tokens, size) each, of packed pairs (1, heads, tokens, size), and a
    mask (pairs, 1, 1, tokens) or None. Returns (pairs, tokens, heads, size)."""
    if not _is_packed(query.transpose(1, 2), mask):
        return sdpa_attention_forward(module, query, key, value, mask, **options)
    return _attend_packed(query, key, value, mask, options["dropout"], options["scaling"]), None


# Left out when layers are compiled: tracing nested tensors fails on CPUs.
@torch.compiler.disable  # type: ignore[untyped-decorator]
def _attend_packed(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, dropout: float, scale: float) -> Tensor:
    query, key, value = (
        part.transpose(1, 2) for part in _by_pair(mask, *(part.transpose(1, 2) for part in (query, key, value)))
    )
    context: Tensor = scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=scale)
    return context.transpose(1, 2).values()[None]


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _padded(values: Tensor, mask: Tensor) -> Tensor:
    """Packed values as (pairs, longest, ...)."""
    return _by_pair(mask, values)[0].to_padded_tensor(0.0)


def _by_pair(mask: Tensor, *values: Tensor) -> list[Tensor]:
    """Packed values, (1, tokens, ...) each, as nested tensors (pairs, tokens of the pair, ...)."""
    offsets, longest = pad(mask.flatten(1).sum(1).cumsum(0), (1, 0)), mask.shape[-1]
    return [torch.nested.nested_tensor_from_jagged(part[0], offsets, min_seqlen=1, max_seqlen=longest) for part in values]


WITHIN_PAIRS = "within_pairs"
AttentionInterface.register(WITHIN_PAIRS, _attend_within_pairs)
AttentionMaskInterface.register(WITHIN_PAIRS, sdpa_mask)


def attend(attention: Any, hidden: Tensor, mask: Tensor | None) -> Tensor:
    """Multi-head attention (Vaswani et al. 2017) of the first token to all, without a projection of all.

    hidden: (pairs, tokens, width). mask: (pairs, 1, tokens) bool, where it may look, or None. Returns (pairs, 1, width).
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


def compile_layers(model: PreTrainedModel, backend: str = "inductor") -> None:
    """Compile each layer by `torch.compile` when it is first called, for batches of any size; parameters keep their names."""
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer):
            module.compile(backend=backend, dynamic=True)


def reuse_freed_memory() -> None:
    """Let glibc keep freed tensors' memory for the next ones: faulting it in anew took an eighth of training's time."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in MALLOPT.items():
            mallopt(parameter, value)
