"""Rule finetune: train one stage of a recipe."""

from pathlib import Path
from typing import TYPE_CHECKING

from crossencoder.backbone import BackboneSettings
from crossencoder.stage import StageInputs, train_stage
from crossencoder.tokens import StoreFiles
from jobs.log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0]):
    train_stage(
        StageInputs(
            parent=snakemake.input.parent,
            groups=snakemake.input.groups,
            validation=snakemake.input.validation,
            queries=StoreFiles(*snakemake.input.queries),
            validation_queries=StoreFiles(*snakemake.input.validation_queries),
            passages=StoreFiles(*snakemake.input.passages),
        ),
        recipe=snakemake.wildcards.recipe,
        objective=snakemake.params.objective,
        backbone=BackboneSettings(**snakemake.params.backbone),
        device=snakemake.config["device"],
        seed=int(snakemake.wildcards.seed),
        output=Path(snakemake.output.model).parent,
    )
