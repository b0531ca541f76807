"""Rule mean_teacher: the run of several teachers' mean score."""

from multistage.data.runs import in_parts, read_run, with_ids, write_runs
from multistage.data.tables import read_ids
from multistage.jobs.log import job_log
from multistage.teachers.mean import mean_run

with job_log(snakemake.log[0]):
    queries, passages = read_ids(snakemake.input.queries), read_ids(snakemake.input.passages)
    runs = [read_run(run, queries=queries, passages=passages) for run in snakemake.input.runs]
    parts = (with_ids(part, queries, passages) for part in in_parts(mean_run(runs, snakemake.params.norm)))
    write_runs(snakemake.output.run, parts, tag=snakemake.wildcards.teacher)
