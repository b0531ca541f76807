"""Rule finetune: train one stage of a recipe."""

from pathlib import Path

from multistage.config.backbone import BackboneSettings
from multistage.data.tokens import StoreFiles
from multistage.jobs.log import job_log
from multistage.training.gradients import Memory
from multistage.training.stage import StageInputs, train_stage
from multistage.training.steps import RunSettings
from multistage.training.validation import ValidationSettings

with job_log(snakemake.log[0]):
    config, wildcards = snakemake.config, snakemake.wildcards
    backbone = config["backbones"][wildcards.backbone]
    place = f"{wildcards.backbone}/{wildcards.recipe}/seed{wildcards.seed}"
    train_stage(
        StageInputs(
            parent=snakemake.input.parent,
            groups=snakemake.input.groups,
            validation=snakemake.input.validation,
            queries=StoreFiles(*snakemake.input.queries),
            validation_queries=StoreFiles(*snakemake.input.validation_queries),
            passages=StoreFiles(*snakemake.input.passages),
        ),
        recipe=wildcards.recipe,
        objective=snakemake.params.objective,
        backbone=BackboneSettings(**snakemake.params.backbone),
        validation=ValidationSettings(**snakemake.params.validation),
        run=RunSettings(
            device=config["device"],
            processes=config["training"]["processes"],
            memory=Memory(backbone["tokens_per_batch"], backbone["tokens_kept"]),
            checkpoint_seconds=60 * config["training"]["checkpoint_minutes"],
            tensorboard=f"{snakemake.params.tensorboard}/{place}" if config["training"]["tensorboard"] else None,
        ),
        seed=int(wildcards.seed),
        state=f"{snakemake.params.state}/{place}",
        output=Path(snakemake.output.model).parent,
    )
