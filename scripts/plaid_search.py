"""Rule plaid_search: ColBERT's run for a query set."""

from typing import TYPE_CHECKING

from collection.tables import read_ids, read_texts
from jobs.log import job_log
from retrieval.late_interaction import load_encoder, search_plaid
from trec.runs import write_run

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0]):
    device = snakemake.config["device"]
    run = search_plaid(
        snakemake.input.index,
        load_encoder(snakemake.input.checkpoint, snakemake.params.max_length, device),
        read_texts(snakemake.input.queries),
        read_ids(snakemake.input.passages).to_numpy(dtype=object),
        depth=snakemake.params.depth,
        full_scores=snakemake.params.full_scores,
        device=device,
    )
    write_run(snakemake.output.run, run, tag=snakemake.wildcards.retriever)
