"""Rule split_queries: the parts of a query set that folds train, validate and test on."""

from multistage.data.folds import split_queries
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    split_queries(**snakemake.input, **snakemake.params, **snakemake.output)
