"""Rule finetune: train one stage of a recipe."""

from pathlib import Path

from multistage.config.training import Backbone, Objective, Training, Validation
from multistage.jobs.log import job_log
from multistage.training.stage import StageInputs, train_stage

with job_log(snakemake.log[0]):
    config, wildcards = snakemake.config, snakemake.wildcards
    place = "{backbone}/{recipe}/seed{seed}".format(**wildcards)
    train_stage(
        StageInputs(*(snakemake.input[name] for name in StageInputs._fields)),
        recipe=wildcards.recipe,
        objective=Objective.model_validate(snakemake.params.objective),
        # What of these changes the result is a parameter of the rule; the rest reruns nothing.
        backbone=Backbone.model_validate(config["backbones"][wildcards.backbone]),
        validation=Validation.model_validate(config["validation"]),
        training=Training.model_validate(config["training"]),
        device=config["device"],
        precision=snakemake.params.precision,
        seed=int(wildcards.seed.partition("/")[0]),
        state=f"{snakemake.params.state}/{place}",
        tensorboard=f"{snakemake.params.tensorboard}/{place}",
        output=Path(snakemake.output.model).parent,
    )
