"""Rule plaid_search: ColBERT's run for a query set over one part of a collection."""

from multistage.data.runs import write_runs
from multistage.data.tables import read_texts
from multistage.jobs.log import job_log
from multistage.retrieval.late_interaction import load_encoder, search_plaid
from multistage.retrieval.shards import shard_ids

with job_log(snakemake.log[0]):
    device = snakemake.config["device"]
    runs = search_plaid(
        snakemake.input.index,
        load_encoder(snakemake.input.checkpoint, snakemake.params.max_length, device),
        read_texts(snakemake.input.queries),
        shard_ids(snakemake.input.passages, int(snakemake.wildcards.shard), snakemake.params.shards),
        depth=snakemake.params.depth,
        full_scores=snakemake.params.full_scores,
        device=device,
    )
    write_runs(snakemake.output.run, runs, tag=snakemake.wildcards.retriever)
