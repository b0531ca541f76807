"""A checkpoint's config and weights, read from a local folder and judged: whatever transformers would fill in is an error."""

import logging
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel

from multistage.jobs.errors import InputError, because
from multistage.sources.checkpoints import require_model

# A checkpoint's own code is never run, and nothing is asked of the Hub.
LOCAL = {"local_files_only": True, "trust_remote_code": False}
# The table of what it fills in; we refuse what matters of it.
logging.getLogger("transformers.modeling_utils").addFilter(lambda record: record.levelno >= logging.ERROR)


def read_config(folder: str | Path) -> PreTrainedConfig:
    """A checkpoint's config, without the attention and the outputs that it may name. Raises InputError as `require_model` does,
    for one that is damaged, and for attention that would be downloaded."""
    require_model(folder)
    try:
        config = AutoConfig.from_pretrained(folder, **LOCAL)
    except Exception as error:  # whatever the file makes the library stumble over
        raise InputError(f"{folder}/config.json: no model that transformers knows{because(error)}") from error
    if "/" in (config._attn_implementation or ""):
        raise InputError(
            f"{folder}/config.json: it names code of the Hub, {config._attn_implementation}, which is never run; take "
            "_attn_implementation out."
        )
    own = {"_attn_implementation": None, "output_attentions": False, "output_hidden_states": False, "return_dict": True}
    for name, value in own.items():
        setattr(config, name, value)
    return config


def load_weights(automatic: Any, folder: str | Path, config: PreTrainedConfig, complete: bool) -> PreTrainedModel:
    """A model with the folder's weights. complete: all must be there; otherwise a head and a pooler may be new.

    automatic: the class of transformers that chooses the model's, such as AutoModel. Raises InputError that names tensors
    which are missing, of another shape, not finite, or of layers that the model lacks.
    """
    options = {"config": config, "dtype": torch.float32, "use_safetensors": True, **LOCAL}
    try:
        model, found = automatic.from_pretrained(folder, output_loading_info=True, ignore_mismatched_sizes=True, **options)
    except Exception as error:  # whatever the files make the library stumble over
        raise InputError(f"{folder}: the model cannot be loaded{because(error)}") from error
    encoder, buffers = model.base_model, dict(model.named_buffers())
    parts = {name for name, _ in encoder.named_children()} - {"pooler"}

    def of_encoder(name: str) -> bool:
        return name.removeprefix(f"{model.base_model_prefix}.").partition(".")[0] in parts and name not in buffers

    wrong = [f"{name} is missing" for name in sorted(found["missing_keys"]) if complete or of_encoder(name)]
    shapes = [(name, tuple(has), tuple(needs)) for name, has, needs in sorted(found["mismatched_keys"])]
    wrong += [f"{name} has shape {has}, not {needs}" for name, has, needs in shapes if complete or of_encoder(name)]
    wrong += [f"{name} is of no part of the model" for name in sorted(found["unexpected_keys"]) if of_encoder(name)]
    wrong += [f"{name} has values that are not finite" for name, w in model.state_dict().items() if not w.isfinite().all()]
    if wrong:
        more = f", and {len(wrong) - 3} more like these" if len(wrong) > 3 else ""
        raise InputError(
            f"{folder}: model.safetensors does not hold the weights of the {type(model).__name__} that config.json describes: "
            f"{', '.join(wrong[:3])}{more}. Take a checkpoint whose files belong together."
        )
    loaded: PreTrainedModel = model
    return loaded


def require_positions(model: PreTrainedModel, max_length: int) -> None:
    """Raise InputError when a model reads fewer than `max_length` tokens.

    That is as many as it has learned positions for, or else what its config says (with rotary positions, what it was trained
    for). Relative positions alone, such as DeBERTa-v3's and T5's, set no limit.
    """
    relative = not getattr(model.config, "position_biased_input", True)  # DeBERTa, whose config gives a number all the same
    longest = None if relative else getattr(model.config, "max_position_embeddings", None)
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            # RoBERTa counts positions from behind the padding's.
            longest = module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
    if longest is not None and max_length > longest:
        name = model.name_or_path
        raise InputError(f"{name}: the model reads {longest} tokens at most, and max_length is {max_length}; lower it.")
