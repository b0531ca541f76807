"""Rule check_leaks: whether benchmarks have queries in common with what models learn from."""

from multistage.data.leaks import check_leaks
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    collections = snakemake.params.collections
    check_leaks(
        dict(zip(collections, snakemake.input.queries, strict=True)),
        learned=snakemake.params.learned,
        benchmarks=snakemake.params.benchmarks,
        collections=collections,
        allowed=snakemake.params.allowed,
        output=snakemake.output.counts,
    )
