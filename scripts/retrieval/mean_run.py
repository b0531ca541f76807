"""Rules fuse_retrievers and mean_teacher: the run of several runs' mean score."""

from multistage.data.runs import cut, in_parts, in_run_order, read_run, with_ids, write_runs
from multistage.data.tables import read_ids
from multistage.jobs.log import job_log
from multistage.retrieval.mean import mean_run

with job_log(snakemake.log[0]):
    params = snakemake.params
    queries, passages = read_ids(snakemake.input.queries), read_ids(snakemake.input.passages)
    runs = [read_run(run, queries=queries, passages=passages) for run in snakemake.input.runs]
    parts = (with_ids(part, queries, passages) for part in in_parts(mean_run(runs, params.norm)))
    if params.depth:
        parts = (cut(in_run_order(part), params.depth) for part in parts)
    write_runs(snakemake.output.run, parts, tag=params.tag)
