"""Rule check_leaks: whether benchmarks have queries in common with what models learn from."""

from multistage.data.leaks import check_leaks
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    check_leaks(**snakemake.input, **snakemake.params, output=snakemake.output.counts)
