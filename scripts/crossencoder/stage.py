"""A stage as a job: files in, a model folder out."""

import json
import logging
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers.utils import logging as transformers_logging

from jobs.errors import InputError
from jobs.files import replacing, scratch
from jobs.provenance import digests, versions

from .backbone import BackboneSettings
from .checkpoint import FILES, distance, load_cross_encoder, load_tokenizer, new_cross_encoder, save_cross_encoder
from .groups import Groups, GroupSampler
from .tokens import Pairs, PairTemplate, StoreFiles, TokenStore, vocabulary_fingerprint
from .training import StageSettings, run_stage
from .validation import ValidationSet

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

logger = logging.getLogger("jobs")
transformers_logging.disable_progress_bar()


@dataclass(frozen=True)
class StageInputs:
    """The files a stage reads. The stores are of the training queries, the validation queries and the passages."""

    parent: str
    groups: str
    validation: str
    queries: StoreFiles
    validation_queries: StoreFiles
    passages: StoreFiles


def initialise(checkpoint: str | Path, max_length: int, seed: int, output: str | Path) -> None:
    """Write the untrained re-ranker: the pre-trained backbone with a new head, seeded, for pairs of `max_length` tokens."""
    model = new_cross_encoder(checkpoint, seed)
    record = {
        "recipe": "untrained",
        "parent": str(checkpoint),
        "seed": seed,
        "inputs": digests(parent=Path(checkpoint) / "model.safetensors"),
        "versions": versions(),
    }
    _write_model(model, load_tokenizer(checkpoint), max_length, record, output)


def train_stage(
    inputs: StageInputs,
    recipe: str,
    objective: dict[str, Any],
    backbone: BackboneSettings,
    device: str,
    seed: int,
    output: str | Path,
) -> None:
    """Fine-tune the parent model for one stage and write the model folder `output`.

    objective: the objective's config, of which `StageSettings` is a part. Raises InputError for a checkpoint with
    several labels, a store made with another vocabulary, an empty training set, a diverging loss; nothing is written
    then.
    """
    settings = StageSettings(**{field.name: objective[field.name] for field in fields(StageSettings)})
    parent = Path(inputs.parent).parent
    model = load_cross_encoder(parent, device)
    set_dropout(model, backbone.dropout)
    tokenizer = load_tokenizer(parent)
    before = {name: weight.detach().cpu().clone() for name, weight in model.state_dict().items()}
    groups = Groups.read(inputs.groups)
    logger.info("%s: %s groups of up to %d passages", recipe, f"{len(groups.queries):,}", groups.passages.shape[1])
    passages = TokenStore(inputs.passages)
    record = run_stage(
        model,
        GroupSampler(groups, settings.group_size, settings.queries_per_step, seed),
        pairs_for(tokenizer, TokenStore(inputs.queries), passages, backbone),
        ValidationSet.read(inputs.validation),
        pairs_for(tokenizer, TokenStore(inputs.validation_queries), passages, backbone),
        settings,
        backbone.tokens_per_batch,
        backbone.frozen,
        seed,
    )
    moved = distance(model, before)
    if moved["changed"] == 0:
        logger.warning("WARNING: no weight changed in this stage: the learning rate %g is too small.", settings.learning_rate)
    training = {
        "recipe": recipe,
        "parent": str(parent),
        "seed": seed,
        "objective": objective,
        "backbone": asdict(backbone),
        "inputs": digests(
            parent=inputs.parent,
            groups=inputs.groups,
            validation=inputs.validation,
            queries=inputs.queries.ids,
            passages=inputs.passages.ids,
        ),
        "versions": versions(),
        **record.summary(),
        "moved_from_parent": moved,
    }
    _write_model(model, tokenizer, backbone.max_length, training, output)
    logger.info(
        "%s pairs, %s tokens in %.0f s, %.0f pairs/s, moved %.4f of the parent's norm",
        f"{record.pairs:,}",
        f"{record.tokens:,}",
        record.seconds,
        record.pairs / record.seconds,
        moved["relative"],
    )


def pairs_for(
    tokenizer: "PreTrainedTokenizerBase", queries: TokenStore, passages: TokenStore, backbone: BackboneSettings
) -> Pairs:
    """Pairs from two stores, after checking that both were made with the model's own vocabulary."""
    own = vocabulary_fingerprint(tokenizer.backend_tokenizer)
    for store in (queries, passages):
        if store.fingerprint != own:
            raise InputError(
                f"{store.name}: tokenised with another vocabulary than the model's; name the right `tokenizer` for the "
                "backbone in the config."
            )
    template = PairTemplate.of(tokenizer.backend_tokenizer, tokenizer.pad_token_id)
    return Pairs(queries, passages, template, backbone.max_length, backbone.max_query_length)


def set_dropout(model: "PreTrainedModel", probability: float) -> None:
    """Set every dropout of the model. The checkpoint's config keeps its own value, which only training reads."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = probability


def _write_model(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    max_length: int,
    record: dict[str, Any],
    output: str | Path,
) -> None:
    """Write checkpoint and training.json into the folder `output`, file by file, the weights last."""
    targets = [Path(output) / name for name in FILES]
    with replacing(*targets) as files, scratch(output) as staging:
        save_cross_encoder(model, tokenizer, max_length, staging)
        (staging / "training.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        for name, file in zip(FILES, files, strict=True):
            (staging / name).rename(file)
