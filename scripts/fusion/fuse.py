"""Rule fuse: re-ranked and first-stage scores as one run."""

from multistage.config.recipes import FUSED
from multistage.evaluation.fusion import fuse_files
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    wildcards = snakemake.wildcards
    fuse_files(
        snakemake.input.reranked,
        snakemake.input.first_stage,
        snakemake.input.weight,
        depth=snakemake.params.depth,
        tag=f"{wildcards.backbone}/{wildcards.recipe}{FUSED}/seed{wildcards.seed}",
        output=snakemake.output.run,
    )
