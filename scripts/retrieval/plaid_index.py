"""Rule plaid_index: a PLAID index of the token vectors of one part of a collection."""

from multistage.jobs.log import job_log
from multistage.retrieval.late_interaction import build_plaid

with job_log(snakemake.log[0]):
    settings, device = snakemake.params.settings, snakemake.config["device"]
    build_plaid(snakemake.input.vectors, snakemake.output.index, **settings, device=device)
