"""Rule adopt_run: a run that is there already, cut to a query set and in the project's order."""

from multistage.data.runs import write_runs
from multistage.data.tables import read_ids
from multistage.jobs.log import job_log
from multistage.retrieval.adoption import adopt

with job_log(snakemake.log[0]):
    runs = adopt(
        snakemake.input.run, read_ids(snakemake.input.queries), read_ids(snakemake.input.passages), snakemake.params.depth
    )
    write_runs(snakemake.output.run, runs, tag=snakemake.wildcards.retriever)
