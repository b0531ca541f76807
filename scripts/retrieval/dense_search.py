"""Rule dense_search: a bi-encoder's run for a query set over one part of a collection."""

from multistage.data.runs import write_runs
from multistage.data.tables import read_texts
from multistage.jobs.log import job_log
from multistage.retrieval.dense import load_bi_encoder, search_vectors
from multistage.retrieval.shards import shard_ids

with job_log(snakemake.log[0]):
    params, device = snakemake.params, snakemake.config["device"]
    runs = search_vectors(
        snakemake.input.vectors,
        load_bi_encoder(snakemake.input.checkpoint, params.max_length, device, params.pooling),
        read_texts(snakemake.input.queries),
        shard_ids(snakemake.input.passages, int(snakemake.wildcards.shard), params.shards),
        depth=params.depth,
        device=device,
    )
    write_runs(snakemake.output.run, runs, tag=snakemake.wildcards.retriever)
