"""Cross-encoder checkpoints: ordinary Hugging Face folders with one label."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification

from multistage.data.tokens import PairTemplate
from multistage.jobs.errors import InputError, because
from multistage.model.precision import compute_in
from multistage.model.speed import read_first_token_only, reuse_freed_memory

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "training.json", "model.safetensors")
# Of a stage's two candidates for model.safetensors.
WEIGHTS = {"best": "best.safetensors", "last": "last.safetensors"}
# A checkpoint's own code is never run, and nothing is asked of the Hub.
LOCAL = {"local_files_only": True, "trust_remote_code": False}
# The table of what it fills in; we refuse what matters of it.
logging.getLogger("transformers.modeling_utils").addFilter(lambda record: record.levelno >= logging.ERROR)


def load_cross_encoder(
    folder: str | Path, device: str = "cpu", precision: str = "auto", training: bool = False
) -> "PreTrainedModel":
    """Load a re-ranker from a local folder onto a device, for training or for scoring alone.

    precision: of the encoder, auto, float32 or bfloat16; a model in training keeps its weights in float32 (see `precision`).
    Raises InputError unless it has one label, and safetensors weights for every tensor of the model.
    """
    model = _sequence_classifier(folder, require_re_ranker(folder), complete=True)
    torch.nn.Module.to(model, device)
    read_first_token_only(model)
    reuse_freed_memory()
    compute_in(precision, model, training)
    return model


def require_re_ranker(folder: str | Path) -> "PreTrainedConfig":
    """The config of a re-ranker. Raises InputError for anything but a checkpoint with one label and safetensors weights."""
    config = _config(folder)
    if config.num_labels != 1:
        raise InputError(f"{folder}/config.json: the checkpoint has {config.num_labels} labels; a re-ranker has one.")
    return config


def new_cross_encoder(folder: str | Path, seed: int) -> "PreTrainedModel":
    """A pre-trained encoder with a new one-label head, whose weights depend on `seed` alone.

    A checkpoint that already is a one-label sequence classifier keeps its head. Raises InputError when it has a
    classification head with several labels, and when anything but a head and a pooler is missing.
    """
    config = _config(folder)
    classifier = any("SequenceClassification" in name for name in config.architectures or [])
    if classifier and config.num_labels != 1:
        raise InputError(
            f"{folder}/config.json: the checkpoint is a classifier with {config.num_labels} labels; a backbone has one "
            "label or no classification head."
        )
    config.num_labels = 1
    torch.manual_seed(seed)
    return _sequence_classifier(folder, config, complete=classifier)


def save_cross_encoder(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", max_length: int, folder: str | Path
) -> None:
    """Save weights, config and tokenizer, so that other libraries compute the scores that we do.

    The config tells sentence-transformers to leave the logits as they are, the tokenizer to cut pairs at `max_length`.
    """
    tokenizer.model_max_length = max_length
    model.config.sentence_transformers = {"activation_fn": "torch.nn.modules.linear.Identity"}
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def require_fit(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", max_length: int) -> None:
    """Raise InputError unless the model can read pairs of `max_length` tokens as the tokenizer lays them out.

    A model that knows no padding token, and whose kind finds the token to read by it, is told the tokenizer's.
    """
    name, config, template = model.name_or_path, model.config, PairTemplate.of(tokenizer)
    longest, known, types = longest_input(model), config.vocab_size, getattr(config, "type_vocab_size", 0)
    if longest is not None and max_length > longest:
        raise InputError(f"{name}: the model reads {longest} tokens at most, and max_length is {max_length}; lower it.")
    if (largest := max(tokenizer.get_vocab().values())) >= known:
        raise InputError(
            f"{name}: the tokenizer gives ids up to {largest}, and the model's vocabulary has {known}; take its own."
        )
    # A model without a number reads no types (DistilBERT, DeBERTa).
    if types and template.types and max(map(max, filter(None, template.types))) >= types:
        raise InputError(
            f"{name}: the tokenizer gives token types that the model lacks, which has {types}; take token_type_ids out of "
            "model_input_names in tokenizer_config.json."
        )
    if config.pad_token_id is None:
        config.pad_token_id = tokenizer.pad_token_id


def longest_input(model: "PreTrainedModel") -> int | None:
    """How many tokens a model with learned positions can read; None where its kind sets no limit."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            # RoBERTa counts positions from behind the padding's.
            return module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
    return None


def distance(model: "PreTrainedModel", parent: dict[str, Tensor]) -> dict[str, float]:
    """How far the weights are from `parent`'s state, over all floating-point parameters.

    relative: |w - w0| / |w0| in the Euclidean norm. largest: the largest change of one weight.
    changed: share of weights whose value is not the same.
    """
    squared_change = squared_norm = largest = changed = total = 0.0
    for name, weight in model.state_dict().items():
        if not weight.is_floating_point():
            continue
        before = parent[name].double()
        change = weight.detach().cpu().double() - before
        squared_change += float(change.square().sum())
        squared_norm += float(before.square().sum())
        largest = max(largest, float(change.abs().max()))
        changed += float((change != 0).sum())
        total += change.numel()
    return {"relative": (squared_change / squared_norm) ** 0.5, "largest": largest, "changed": changed / total}


def set_dropout(model: "PreTrainedModel", probability: float) -> None:
    """Set every dropout of the model. The checkpoint's config keeps its own value, which only training reads."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = probability


def _config(folder: str | Path) -> "PreTrainedConfig":
    """A checkpoint's config, without the attention that it may name: transformers would download and run some of them."""
    for name in ("config.json", "model.safetensors"):
        if not (Path(folder) / name).is_file():
            raise InputError(f"{folder}: {name} is missing; a checkpoint is a folder with config.json and model.safetensors.")
    try:
        config = AutoConfig.from_pretrained(folder, **LOCAL)
    except Exception as error:  # whatever the file makes the library stumble over
        raise InputError(f"{folder}/config.json: no model that transformers knows{because(error)}") from error
    config._attn_implementation = None
    return config


def _sequence_classifier(folder: str | Path, config: "PreTrainedConfig", complete: bool) -> "PreTrainedModel":
    """A classifier with the folder's weights. complete: all must be there; otherwise a head and a pooler may be new.

    Raises InputError that names tensors which are missing, of another shape, not finite, or of layers that the model lacks.
    """
    options = {"config": config, "dtype": torch.float32, "use_safetensors": True, **LOCAL}
    try:
        model, found = AutoModelForSequenceClassification.from_pretrained(
            folder, output_loading_info=True, ignore_mismatched_sizes=True, **options
        )
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
    return model
