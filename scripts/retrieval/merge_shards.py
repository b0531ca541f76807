"""Rule merge_shards: a first-stage run from the runs over the parts of a collection."""

from multistage.data.runs import read_run, write_run
from multistage.jobs.log import job_log
from multistage.retrieval.shards import merge_runs

with job_log(snakemake.log[0]):
    run = merge_runs((read_run(path) for path in snakemake.input.runs), snakemake.params.depth)
    write_run(snakemake.output.run, run, tag=snakemake.wildcards.retriever)
