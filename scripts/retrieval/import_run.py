"""Rules import_run and merge_shards: a run that is there already, or those of a collection's parts, in the project's order."""

from pathlib import Path

from multistage.data.runs import in_parts, read_run, with_ids, write_runs
from multistage.data.tables import read_ids
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    queries, passages = read_ids(snakemake.input.queries), read_ids(snakemake.input.passages)
    run = read_run(snakemake.input.run, snakemake.params.depth, queries=queries, passages=passages)
    runs = (with_ids(part, queries, passages) for part in in_parts(run))
    write_runs(snakemake.output.run, runs, tag=Path(snakemake.output.run).parent.name)
