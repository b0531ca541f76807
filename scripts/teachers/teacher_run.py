"""Rule teacher_run: a run with a teacher's scores, cut to a query set."""

from multistage.data.streaming import stream_candidates
from multistage.data.tables import read_ids
from multistage.jobs.log import job_log
from multistage.teachers.scored_run import write_scored_run

with job_log(snakemake.log[0]):
    queries, passages = read_ids(snakemake.input.queries), read_ids(snakemake.input.passages)
    write_scored_run(
        stream_candidates(snakemake.input.run, queries, passages, snakemake.params.depth),
        queries,
        passages,
        snakemake.output.run,
        snakemake.output.scores,
        tag=snakemake.wildcards.teacher,
    )
