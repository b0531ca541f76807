"""Rules dense_search and plaid_search: a retriever's run for a query set over one part of a collection."""

from multistage.data.runs import write_runs
from multistage.data.tables import read_texts
from multistage.jobs.log import job_log
from multistage.retrieval import dense, late_interaction
from multistage.retrieval.shards import shard_ids

with job_log(snakemake.log[0]):
    params, device = snakemake.params, snakemake.config["device"]
    model = late_interaction if params.kind == "colbert" else dense
    runs = model.search(
        snakemake.input.index,
        model.load_encoder(snakemake.input.checkpoint, **params.encoder, device=device, precision=params.precision),
        read_texts(snakemake.input.queries),
        shard_ids(snakemake.input.passages, int(snakemake.wildcards.shard), params.shards),
        **params.search,
        device=device,
    )
    write_runs(snakemake.output.run, runs, tag=snakemake.wildcards.retriever)
