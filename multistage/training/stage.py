"""A stage as a job: files in, a model folder out."""

import json
import logging
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers.utils import logging as transformers_logging

from multistage.config import Backbone, Objective, Training, Validation
from multistage.data.groups import Groups
from multistage.data.sampling import GroupSampler
from multistage.data.tokens import StoreFiles, TokenStore
from multistage.data.validation_set import ValidationSet
from multistage.jobs.files import replacing, scratch
from multistage.jobs.provenance import digests, versions
from multistage.jobs.signals import stop_signals_blocked
from multistage.model.checkpoint import (
    FILES,
    WEIGHTS,
    distance,
    load_cross_encoder,
    load_tokenizer,
    new_cross_encoder,
    save_cross_encoder,
    set_dropout,
)
from multistage.model.precision import resolve
from multistage.scoring.scoring import pairs_for
from multistage.training.parallel import launch, process_count, process_number
from multistage.training.state import StageState, Tensors, sole_writer, stage_key
from multistage.training.steps import Stage, ValidationPlan

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
    _write_model(model, load_tokenizer(checkpoint), max_length=max_length, record=record, output=output)


def train_stage(
    inputs: StageInputs,
    *,
    recipe: str,
    objective: Objective,
    backbone: Backbone,
    validation: Validation,
    training: Training,
    device: str,
    precision: str,
    seed: int,
    state: str | Path,
    tensorboard: str | Path,
    output: str | Path,
) -> None:
    """Fine-tune the parent model for one stage and write the model folder `output`.

    precision: of the encoder: auto, float32 or bfloat16; training.json records which of the two it was. state: a folder for
    checkpoints, from which an interrupted stage resumes; removed when the model is written. Raises InputError for a checkpoint
    with several labels, a store made with another vocabulary, an empty training set, a diverging loss, a stage that another
    process does not hand over; RunAgain when it was asked to stop. The model folder is not touched then.
    """
    record = {
        "recipe": recipe,
        "parent": str(Path(inputs.parent).parent),
        "seed": seed,
        "objective": objective.definition(),
        "backbone": backbone.definition(),
        "precision": precision,
        "inputs": digests(
            parent=inputs.parent,
            groups=inputs.groups,
            validation=inputs.validation,
            queries=inputs.queries.ids,
            passages=inputs.passages.ids,
        ),
        "versions": versions(),
    }
    # Not of how it runs: a stage may resume with other memory or on more GPUs, with the same result up to rounding.
    key = stage_key(**record, validation=validation.definition())
    memory = {"tokens_per_batch": backbone.tokens_per_batch, "tokens_kept": backbone.tokens_kept}
    record["run"] = {"device": device, "processes": training.processes, "memory": memory}
    record["stage"] = key
    work = partial(
        _train,
        inputs=inputs,
        objective=objective,
        backbone=backbone,
        validation=validation,
        training=training,
        state=StageState(state, key),
        tensorboard=tensorboard,
        record=record,
        output=output,
    )
    with sole_writer(state) as waited:
        if waited and _finished(output, key):
            logger.info("the process that had the stage has finished it")
            return
        launch(work, training.processes, device)


def _finished(output: str | Path, key: str) -> bool:
    """Whether the model folder holds this very stage."""
    record, weights = Path(output) / "training.json", Path(output) / "model.safetensors"
    return record.is_file() and weights.is_file() and json.loads(record.read_text()).get("stage") == key


@stop_signals_blocked()
def _train(
    device: str,
    *,
    inputs: StageInputs,
    objective: Objective,
    backbone: Backbone,
    validation: Validation,
    training: Training,
    state: StageState,
    tensorboard: str | Path,
    record: dict[str, Any],
    output: str | Path,
) -> None:
    """A process's part of a stage; the first writes the model."""
    if process_number():
        logger.setLevel(logging.ERROR)
    parent = Path(record["parent"])
    model = load_cross_encoder(parent, device, record["precision"], training=True)
    record["precision"] = resolve(record["precision"], model, training=True)
    set_dropout(model, backbone.dropout)
    tokenizer = load_tokenizer(parent)
    before = {name: weight.detach().cpu().clone() for name, weight in model.state_dict().items()}
    groups = Groups.read(inputs.groups)
    logger.info("%s: %s groups of up to %d passages", record["recipe"], f"{len(groups.queries):,}", groups.passages.shape[1])
    passages = TokenStore.open(inputs.passages)
    stage = Stage(
        model,
        sampler=GroupSampler(
            groups,
            contrast=objective.contrasts,
            size=objective.group_size,
            queries_per_step=objective.queries_per_step,
            seed=record["seed"],
            process=process_number(),
            processes=process_count(),
        ),
        pairs=pairs_for(tokenizer, TokenStore.open(inputs.queries), passages, backbone),
        validation=ValidationPlan(
            ValidationSet.read(inputs.validation),
            pairs_for(tokenizer, TokenStore.open(inputs.validation_queries), passages, backbone),
            validation.share,
        ),
        objective=objective,
        backbone=backbone,
        training=training,
        state=state,
        tensorboard=tensorboard,
    )
    stage.run()
    if process_number():
        return
    moved = _write_stage(
        model,
        tokenizer,
        stage,
        max_length=backbone.max_length,
        before=before,
        export=validation.export,
        record=record,
        output=output,
    )
    state.remove()
    logger.info(
        "%s pairs, %s tokens in %.0f s, %.0f pairs/s, moved %.4f of the parent's norm",
        f"{stage.record.work.pairs:,}",
        f"{stage.record.work.tokens:,}",
        stage.record.seconds,
        stage.record.work.pairs / stage.record.seconds,
        moved["relative"],
    )
    if moved["changed"] == 0:
        logger.warning("WARNING: no weight changed in this stage: the learning rate %g is too small.", objective.learning_rate)


def _write_stage(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    stage: Stage,
    *,
    max_length: int,
    before: Tensors,
    export: str,
    record: dict[str, Any],
    output: str | Path,
) -> dict[str, float]:
    """Write the last and the best weights, and the one that is exported as the model; returns how far that one moved."""
    choices = {"last": {"step": stage.steps, "why": "validation.export is last"}}
    best = stage.record.best
    validations = len(stage.record.validation) - 1
    choices["best"] = {"step": best.step, "why": f"nDCG@10 {best.ndcg:.4f} on the validation set, the best of {validations}"}
    moved = {}
    names = (*WEIGHTS.values(), *FILES)
    with replacing(*(Path(output) / name for name in names)) as files, scratch(output) as staging:
        for choice, weights in (("last", None), ("best", stage.best_weights())):
            if choice == "best" and weights is None:
                os.link(staging / WEIGHTS["last"], staging / WEIGHTS["best"])
            else:
                model.load_state_dict(weights or {}, strict=False)
                save_cross_encoder(model, tokenizer, max_length, staging)
                (staging / "model.safetensors").rename(staging / WEIGHTS[choice])
            moved[choice] = distance(model, before)
        os.link(staging / WEIGHTS[export], staging / "model.safetensors")
        summary = {**record, **stage.record.summary(), "exported": {"weights": export, **choices[export]}}
        _write_record(staging, {**summary, "moved_from_parent": moved[export]})
        for name, file in zip(names, files, strict=True):
            (staging / name).rename(file)
    return moved[export]


def _write_model(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    *,
    max_length: int,
    record: dict[str, Any],
    output: str | Path,
) -> None:
    """Write checkpoint and training.json into the folder `output`, file by file, the weights last."""
    targets = [Path(output) / name for name in FILES]
    with replacing(*targets) as files, scratch(output) as staging:
        save_cross_encoder(model, tokenizer, max_length, staging)
        _write_record(staging, record)
        for name, file in zip(FILES, files, strict=True):
            (staging / name).rename(file)


def _write_record(folder: Path, record: dict[str, Any]) -> None:
    (folder / "training.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
