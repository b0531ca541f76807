"""Rule validation_set: the small re-ranking set that training is watched on."""

from multistage.data.groups import validation_set
from multistage.data.runs import read_run
from multistage.data.tables import read_ids, read_qrels
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    queries, passages = read_ids(snakemake.input.queries), read_ids(snakemake.input.passages)
    run = read_run(snakemake.input.run, snakemake.params.depth, queries=queries, passages=passages)
    validation_set(
        run, read_qrels(snakemake.input.qrels), queries=queries, passages=passages, limit=snakemake.params.limit
    ).write(snakemake.output.validation)
