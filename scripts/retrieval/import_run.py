"""Rule import_run: a run that is there already, cut to a query set and in the project's order."""

from multistage.data.runs import write_runs
from multistage.data.tables import read_ids
from multistage.jobs.log import job_log
from multistage.retrieval.ready_made import import_run

with job_log(snakemake.log[0]):
    queries, passages = read_ids(snakemake.input.queries), read_ids(snakemake.input.passages)
    runs = import_run(snakemake.input.run, queries, passages, snakemake.params.depth)
    write_runs(snakemake.output.run, runs, tag=snakemake.wildcards.imported.rpartition("/")[2])
