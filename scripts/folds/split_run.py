"""Rule split_run: the rankings of the queries of each part of a fold."""

from multistage.data.folds import split_run
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    split_run(snakemake.input.run, snakemake.input.queries, snakemake.output.runs)
