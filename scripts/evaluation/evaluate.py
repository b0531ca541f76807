"""Rule evaluate: measures per query of every run of a benchmark."""

from multistage.evaluation.measures import evaluate_runs, write_values
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    write_values(evaluate_runs(**snakemake.input, **snakemake.params), snakemake.output.values)
