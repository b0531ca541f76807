"""Rule keep_found: the queries of another set for which a retriever finds a relevant passage."""

from multistage.config.data import FoundQueries
from multistage.jobs.log import job_log
from multistage.sources.generated import keep_found

with job_log(snakemake.log[0]):
    entry = FoundQueries.model_validate(snakemake.config["querysets"][snakemake.wildcards.queryset])
    keep_found(**snakemake.input, depth=entry.depth, relevance=entry.relevance, draw=entry.draw, **snakemake.output)
