"""Rule prepare_passages: the passages of a collection."""

from typing import TYPE_CHECKING

from collection.vital_articles import write_passages
from jobs.log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0]):
    write_passages(snakemake.input.wheel, snakemake.params.member, snakemake.params.articles, snakemake.output.passages)
