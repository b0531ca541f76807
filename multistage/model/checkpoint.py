"""Cross-encoder checkpoints: ordinary Hugging Face folders with one label."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from multistage.jobs.errors import InputError
from multistage.model.precision import compute_in
from multistage.model.speed import read_first_token_only, reuse_freed_memory

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "training.json", "model.safetensors")
# Of a stage's two candidates for model.safetensors.
WEIGHTS = {"best": "best.safetensors", "last": "last.safetensors"}


def load_cross_encoder(
    folder: str | Path, device: str = "cpu", precision: str = "auto", training: bool = False
) -> "PreTrainedModel":
    """Load a re-ranker from a local folder onto a device, for training or for scoring alone.

    precision: of the encoder, auto, float32 or bfloat16; a model in training keeps its weights in float32 (see `precision`).
    Raises InputError unless it has one label and safetensors weights.
    """
    require_re_ranker(folder)
    model = _sequence_classifier(folder)
    torch.nn.Module.to(model, device)
    read_first_token_only(model)
    reuse_freed_memory()
    compute_in(precision, model, training)
    return model


def require_re_ranker(folder: str | Path) -> None:
    """Raise InputError unless the folder holds a checkpoint with one label and safetensors weights."""
    _require_weights(folder)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}/config.json: no model that transformers knows ({error}).") from error
    if config.num_labels != 1:
        raise InputError(f"{folder}/config.json: the checkpoint has {config.num_labels} labels; a re-ranker has one.")


def new_cross_encoder(folder: str | Path, seed: int) -> "PreTrainedModel":
    """A pre-trained encoder with a new one-label head, whose weights depend on `seed` alone.

    A checkpoint that already is a one-label sequence classifier keeps its head. Raises InputError when it has a
    classification head with several labels.
    """
    _require_weights(folder)
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    classifier = any("SequenceClassification" in name for name in config.architectures or [])
    if classifier and config.num_labels != 1:
        raise InputError(
            f"{folder}/config.json: the checkpoint is a classifier with {config.num_labels} labels; a backbone has one "
            "label or no classification head."
        )
    torch.manual_seed(seed)
    return _sequence_classifier(folder, num_labels=1)


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


def load_tokenizer(folder: str | Path) -> "PreTrainedTokenizerBase":
    """Load the fast tokenizer of a checkpoint from a local folder. Raises InputError where there is none."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: no tokenizer can be read from the checkpoint ({error}).") from error
    if not tokenizer.is_fast:
        raise InputError(f"{folder}: the checkpoint's tokenizer is not a fast one; save it with its tokenizer.json.")
    return tokenizer


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


def _sequence_classifier(folder: str | Path, **overrides: int) -> "PreTrainedModel":
    return AutoModelForSequenceClassification.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, attn_implementation="sdpa", **overrides
    )


def _require_weights(folder: str | Path) -> None:
    for name in ("config.json", "model.safetensors"):
        if not (Path(folder) / name).is_file():
            raise InputError(f"{folder}: {name} is missing; a checkpoint is a folder with config.json and model.safetensors.")
