"""Rules dense_search and plaid_search: a retriever's run for a query set over one part of a collection."""

from multistage.data.runs import write_runs
from multistage.data.tables import read_texts
from multistage.jobs.log import job_log
from multistage.retrieval.dense import exact_search
from multistage.retrieval.encoding import load_encoder, search, shard_ids
from multistage.retrieval.late_interaction import plaid_search

with job_log(snakemake.log[0]):
    params, device = snakemake.params, snakemake.config["device"]
    open_index = plaid_search if params.encoder["kind"] == "colbert" else exact_search
    runs = search(
        open_index(snakemake.input.index, device, **params.search),
        load_encoder(snakemake.input.checkpoint, **params.encoder, device=device, precision=params.precision),
        read_texts(snakemake.input.queries),
        shard_ids(snakemake.input.passages, int(snakemake.wildcards.shard), params.shards),
        depth=params.depth,
    )
    write_runs(snakemake.output.run, runs, tag=snakemake.wildcards.retriever)
