"""Rule teacher_run: a run with a teacher's scores, cut to a query set."""

from multistage.data.runs import read_run, with_ids
from multistage.data.tables import read_ids
from multistage.jobs.log import job_log
from multistage.teachers.scored_run import write_scored_run

with job_log(snakemake.log[0]):
    queries, passages = read_ids(snakemake.input.queries), read_ids(snakemake.input.passages)
    run = read_run(snakemake.input.run, snakemake.params.depth, queries=queries, passages=passages)
    write_scored_run(
        with_ids(run, queries, passages), snakemake.output.run, snakemake.output.scores, tag=snakemake.wildcards.teacher
    )
