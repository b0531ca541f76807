"""Rule join_folds: one run of every query, each as the model of its fold ranks it."""

from multistage.data.folds import join_runs
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    join_runs(snakemake.input.runs, snakemake.output.run)
