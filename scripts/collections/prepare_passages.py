"""Rule prepare_passages: the passages of a collection."""

from multistage.data.preparing import prepare_passages
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    prepare_passages(snakemake.params.kind, snakemake.input.sources, snakemake.params.settings, snakemake.output.passages)
