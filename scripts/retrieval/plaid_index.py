"""Rule plaid_index: a PLAID index of the token vectors of one part of a collection."""

from multistage.jobs.log import job_log
from multistage.retrieval.late_interaction import build_plaid, read_token_vectors

with job_log(snakemake.log[0]):
    build_plaid(
        read_token_vectors(snakemake.input.vectors),
        snakemake.output.index,
        **snakemake.params.settings,
        device=snakemake.config["device"],
    )
