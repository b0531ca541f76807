"""Rule plaid_index: a PLAID index of the token vectors of one part of a collection."""

from multistage.jobs.log import job_log
from multistage.retrieval.late_interaction import build_plaid, read_token_vectors

with job_log(snakemake.log[0]):
    build_plaid(
        read_token_vectors(snakemake.input.vectors),
        nbits=snakemake.params.nbits,
        kmeans_passages=snakemake.params.kmeans_passages,
        seed=0,
        device=snakemake.config["device"],
        output=snakemake.output.index,
    )
