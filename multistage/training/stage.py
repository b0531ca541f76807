"""A stage as a job: files in, a model folder out."""

import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from multistage.config.recipes import MODEL_FILES
from multistage.config.training import Backbone, Objective, Training, Validation
from multistage.data.sampling import Groups, GroupSampler
from multistage.data.templates import set_template
from multistage.data.tokens import (
    PairTemplate,
    TokenStore,
    load_tokenizer,
    require_room,
    vocabulary_fingerprint,
)
from multistage.jobs.errors import InputError
from multistage.jobs.files import digests, read_json, replacing, scratch, versions
from multistage.jobs.log import logger
from multistage.jobs.signals import stop_signals_blocked
from multistage.model.adapter import adapted_layers, add_adapter, merged
from multistage.model.checkpoint import (
    WEIGHTS,
    distance,
    freeze,
    load_cross_encoder,
    new_cross_encoder,
    require_fit,
    save_cross_encoder,
    set_dropout,
)
from multistage.model.precision import resolve
from multistage.model.speed import require_packed
from multistage.scoring.scoring import pairs_for
from multistage.sources.checkpoints import require_model
from multistage.training.parallel import launch, process_number
from multistage.training.state import StageState, sole_writer, stage_key
from multistage.training.steps import Stage
from multistage.training.validation import Validator

transformers_logging.disable_progress_bar()
# Groups whose pairs are looked at for texts that are cut.
COUNTED = 10_000


class StageInputs(NamedTuple):
    """The files a stage reads; of a store of texts, its three (see `tokens.StoreFiles`)."""

    parent: str
    groups: str
    validation: str
    queries: Sequence[str]
    validation_queries: Sequence[str]
    passages: Sequence[str]


def initialise(
    checkpoint: str | Path, settings: Backbone, *, seed: int, output: str | Path, vocabulary: str | Path | None = None
) -> None:
    """Write the untrained re-ranker: the pre-trained backbone with a new head, seeded, for pairs of these lengths and template.

    vocabulary: the checkpoint whose tokenizer makes the token stores; None: this one. Raises InputError, before anything is
    tokenised, for weights that do not belong to the model, for a tokenizer or lengths that do not fit it, for names of
    `frozen` or `adapter` that it lacks, and where a backbone's pairs are packed and it cannot read them.
    """
    model, tokenizer = new_cross_encoder(checkpoint, seed), load_tokenizer(checkpoint)
    set_template(tokenizer, settings.template)
    require_fit(model, tokenizer, settings.max_length)
    require_room(PairTemplate.of(tokenizer), settings.max_length, settings.max_query_length)
    freeze(model, settings.frozen)
    if settings.adapter:
        adapted_layers(model, settings.adapter)
    if settings.packed:
        require_packed(model)
    record = {
        "recipe": "untrained",
        "parent": str(checkpoint),
        "seed": seed,
        "inputs": digests(parent=require_model(checkpoint)),
        "versions": versions(),
    }
    with _model_folder(output, MODEL_FILES) as staging:
        save_cross_encoder(model, tokenizer, settings.max_length, staging)
        if vocabulary_fingerprint(load_tokenizer(staging)) != vocabulary_fingerprint(load_tokenizer(vocabulary or checkpoint)):
            raise InputError(
                f"{vocabulary or checkpoint}: this tokenizer has another vocabulary or splits texts in another way than the "
                f"one that the model of {checkpoint} is saved with; name another `tokenizer` for the backbone in the config."
            )
        _write_record(staging, record)


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
    with several labels, a store made with another vocabulary, an empty training set, a diverging loss; RunAgain when it was
    asked to stop. The model folder is not touched then.
    """
    parent = Path(inputs.parent).parent
    record = {
        "recipe": recipe,
        "parent": str(parent),
        "seed": seed,
        "objective": objective.definition(),
        "backbone": backbone.definition(),
        "precision": precision,
        "inputs": digests(
            parent=inputs.parent,
            groups=inputs.groups,
            validation=inputs.validation,
            queries=inputs.queries[0],
            passages=inputs.passages[0],
        ),
        "versions": versions(*(["peft"] if backbone.adapter else [])),
    }
    # Not of how it runs: a stage may resume with other memory or on more GPUs, with the same result up to rounding, unless
    # dropout is on: micro-batches draw it, and there are others then.
    key = stage_key(**record, validation=validation.definition())

    @stop_signals_blocked()
    def train(device: str) -> None:
        """A process's part of the stage; the first writes the model."""
        if process_number():
            logger.setLevel(logging.ERROR)
        model = load_cross_encoder(parent, device, precision, training=True)
        if backbone.adapter:
            add_adapter(model, backbone.adapter, dropout=backbone.dropout, seed=seed)
        set_dropout(model, backbone.dropout)
        tokenizer = load_tokenizer(parent)
        queries, passages = TokenStore.open(inputs.queries), TokenStore.open(inputs.passages)
        validation_queries = TokenStore.open(inputs.validation_queries)
        groups, candidates = Groups.read(inputs.groups, objective.group_size), Groups.read(inputs.validation)
        groups.require_texts(queries, passages, inputs.groups)
        candidates.require_texts(validation_queries, passages, inputs.validation)
        logger.info(f"{recipe}: {len(groups.queries):,} groups of up to {groups.passages.shape[1]} passages")
        pairs = pairs_for(tokenizer, queries, passages, backbone)
        # Of all groups it would take a while at full size.
        line, column = np.nonzero(groups.passages[:COUNTED] >= 0)
        pairs.warn_if_cut(groups.queries[line], groups.passages[line, column])
        stage = Stage(
            model,
            sampler=GroupSampler(
                groups,
                contrast=objective.contrasts,
                several=objective.positives == "all",
                size=objective.group_size,
                queries_per_step=objective.queries_per_step,
                seed=seed,
            ),
            pairs=pairs,
            validator=Validator(candidates, pairs_for(tokenizer, validation_queries, passages, backbone), validation.share),
            objective=objective,
            backbone=backbone,
            training=training,
            state=checkpoints,
            tensorboard=tensorboard,
        )
        stage.run()
        if process_number() == 0:
            how = training.model_dump(include={"processes", "compile"})
            run = {"device": device, **how, "memory": asdict(stage.memory)}
            own = record | {"run": run, "stage": key, "precision": resolve(precision, model.device)}
            _write_stage(stage, tokenizer, backbone.max_length, export=validation.export, record=own, output=output)

    with sole_writer(state):
        if _finished(output, key):
            logger.info("another process has finished this stage")
            return
        checkpoints = StageState(state, key)
        launch(train, training.processes, device)


def _finished(output: str | Path, key: str) -> bool:
    """Whether the model folder, which Snakemake empties before a job, holds this very stage."""
    record, weights = Path(output) / "training.json", Path(output) / "model.safetensors"
    return record.is_file() and weights.is_file() and read_json(record).get("stage") == key


def _write_stage(
    stage: Stage,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    *,
    export: str,
    record: dict[str, Any],
    output: str | Path,
) -> None:
    """Write the last and the best weights, and the one that is exported as the model; then the checkpoints go."""
    done = stage.record
    moved: dict[str, dict[str, float]] = {}
    before = load_cross_encoder(record["parent"], precision="float32", training=True).state_dict()
    why = f"nDCG@10 {done.best_ndcg:.4f} on the validation set, the best of {len(done.validation) - 1}"
    if stage.step < stage.steps:
        export, why = "best", f"{why}, after which the stage ended: patience is {stage.objective.patience}"
    choices = {
        "last": {"step": stage.step, "why": "validation.export is last"},
        "best": {"step": done.best_step, "why": why},
    }
    with _model_folder(output, (*WEIGHTS.values(), *MODEL_FILES)) as staging:
        for choice, weights in (("last", {}), ("best", stage.best)):
            if weights is None:  # the last step's
                os.link(staging / WEIGHTS["last"], staging / WEIGHTS["best"])
                moved["best"] = moved["last"]
                continue
            stage.model.load_state_dict(weights, strict=False)
            model = merged(stage.model) if record["backbone"]["adapter"] else stage.model
            save_cross_encoder(model, tokenizer, max_length, staging)
            (staging / "model.safetensors").rename(staging / WEIGHTS[choice])
            moved[choice] = distance(model, before)
        os.link(staging / WEIGHTS[export], staging / "model.safetensors")
        exported = {"exported": {"weights": export, **choices[export]}, "moved_from_parent": moved[export]}
        _write_record(staging, record | done.summary() | exported)
    stage.state.remove()
    logger.info(
        f"{done.pairs:,} pairs, {done.tokens:,} tokens in {done.seconds:.0f} s, {done.pairs / done.seconds:.0f} pairs/s, "
        f"moved {moved[export]['relative']:.4f} of the parent's norm"
    )
    if moved[export]["changed"] == 0:
        rate = stage.objective.learning_rate
        logger.warning(f"no weight changed in this stage: the learning rate {rate:g} is too small.")


@contextmanager
def _model_folder(output: str | Path, names: Sequence[str]) -> Iterator[Path]:
    """A folder to write the files `names` in, which are then moved to the folder `output`, the last one last."""
    with replacing(*(Path(output) / name for name in names)) as files, scratch(output) as staging:
        yield staging
        for name, file in zip(names, files, strict=True):
            (staging / name).rename(file)


def _write_record(folder: Path, record: dict[str, Any]) -> None:
    (folder / "training.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
