"""Rule view_queries: queries that a further stage helps and hurts."""

from multistage.jobs.log import job_log
from multistage.reporting.queries import write_view

with job_log(snakemake.log[0]):
    write_view(**snakemake.input, **snakemake.params, **snakemake.wildcards, **snakemake.output)
