"""Cross-encoder checkpoints: ordinary Hugging Face folders with one label."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_layers import GenericForSequenceClassification

from multistage.data.tokens import PairTemplate
from multistage.jobs.errors import InputError
from multistage.model.precision import compute_in
from multistage.model.speed import read_first_token_only, reuse_freed_memory
from multistage.model.weights import load_weights, read_config, require_positions

# Of a stage's two candidates for model.safetensors.
WEIGHTS = {"best": "best.safetensors", "last": "last.safetensors"}


def load_cross_encoder(
    folder: str | Path, device: str = "cpu", precision: str = "auto", training: bool = False
) -> PreTrainedModel:
    """Load a re-ranker from a local folder onto a device, for training or for scoring alone.

    precision: of the encoder, auto, float32 or bfloat16; a model in training keeps its weights in float32 (see `precision`).
    Raises InputError unless it has one label, and safetensors weights for every tensor of the model.
    """
    model = load_weights(AutoModelForSequenceClassification, folder, require_re_ranker(folder), complete=True)
    torch.nn.Module.to(model, device)
    read_first_token_only(model)
    reuse_freed_memory()
    compute_in(precision, model, training)
    return model


def require_re_ranker(folder: str | Path) -> PreTrainedConfig:
    """The config of a re-ranker. Raises InputError for anything but a checkpoint with one label and safetensors weights."""
    config = read_config(folder)
    if config.num_labels != 1:
        raise InputError(
            f"{folder}/config.json: the checkpoint, {config.architectures}, has {config.num_labels} labels; a re-ranker "
            "classifies with one."
        )
    return config


def new_cross_encoder(folder: str | Path, seed: int) -> PreTrainedModel:
    """A pre-trained encoder with a new one-label head, whose weights depend on `seed` alone.

    A checkpoint that already is a re-ranker keeps its head. Raises InputError for a classifier with several labels, and when
    anything but a head and a pooler is missing.
    """
    config = read_config(folder)
    classifier = "SequenceClassification" in str(config.architectures)
    if classifier:
        require_re_ranker(folder)
    config.num_labels = 1
    torch.manual_seed(seed)
    return load_weights(AutoModelForSequenceClassification, folder, config, complete=classifier)


def save_cross_encoder(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_length: int, folder: str | Path) -> None:
    """Save weights, config and tokenizer, so that other libraries compute the scores that we do.

    The config tells sentence-transformers to leave the logits as they are, the tokenizer to cut pairs at `max_length` and,
    where it has one, by which template to lay them out.
    """
    tokenizer.model_max_length = max_length
    model.config.sentence_transformers = {"activation_fn": "torch.nn.modules.linear.Identity"}
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder, save_jinja_files=False)


def require_fit(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
    """Raise InputError unless the model can read pairs of `max_length` tokens as the tokenizer lays them out.

    A model that knows no padding token, or whose kind finds the token to read by it, is told the tokenizer's.
    """
    name, config, template = model.name_or_path, model.config, PairTemplate.of(tokenizer)
    known, types = config.vocab_size, getattr(config, "type_vocab_size", 0)
    require_positions(model, max_length)
    if (largest := max(tokenizer.get_vocab().values())) >= known:
        raise InputError(
            f"{name}: the tokenizer gives ids up to {largest}, and the model's vocabulary has {known}; take its own."
        )
    # A model without a number reads no types (DistilBERT, DeBERTa).
    if types and template.types and max(template.types) >= types:
        raise InputError(
            f"{name}: the tokenizer gives token types that the model lacks, which has {types}; take token_type_ids out of "
            "model_input_names in tokenizer_config.json."
        )
    # Of RoBERTa's kinds it says where positions begin, and stays.
    if config.pad_token_id is None or isinstance(model, GenericForSequenceClassification):
        config.pad_token_id = tokenizer.pad_token_id


def freeze(model: PreTrainedModel, parts: Sequence[str]) -> None:
    """Train none of the parameters that have one of the parts in their names. Raises InputError for a part that none has."""
    parameters = dict(model.named_parameters())
    for part in parts:
        found = [name for name in parameters if part in name]
        if not found:
            known = ", ".join([*parameters][:6])
            raise InputError(f"frozen: no parameter's name contains {part!r}; the model has {known} and others.")
        for name in found:
            parameters[name].requires_grad_(False)


def distance(model: PreTrainedModel, parent: dict[str, Tensor]) -> dict[str, float]:
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


def set_dropout(model: PreTrainedModel, probability: float) -> None:
    """Set every dropout of the model. The checkpoint's config keeps its own value, which only training reads."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = probability
