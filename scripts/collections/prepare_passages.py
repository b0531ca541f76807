"""Rule prepare_passages: the passages of a collection."""

from typing import TYPE_CHECKING

from multistage.data.preparing import prepare_passages
from multistage.jobs.log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0]):
    prepare_passages(snakemake.params.kind, snakemake.input.sources, snakemake.params.settings, snakemake.output.passages)
