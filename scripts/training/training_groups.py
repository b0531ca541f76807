"""Rule training_groups: the candidates of an objective's training queries, and what is known of them."""

from multistage.data.groups import training_groups
from multistage.data.runs import read_run
from multistage.data.tables import read_ids, read_qrels
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    queries, passages = read_ids(snakemake.input.queries), read_ids(snakemake.input.passages)
    training_groups(
        read_run(snakemake.input.run, snakemake.params.depth, queries=queries, passages=passages),
        read_qrels(snakemake.input.qrels),
        queries,
        passages,
        taught=snakemake.params.taught,
        contrast=snakemake.params.contrast,
        relevance=snakemake.params.relevance,
    ).write(snakemake.output.groups)
