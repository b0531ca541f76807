"""Rule prepare_queries: queries and relevance judgements of a query set."""

from multistage.config.data import Draw
from multistage.data.preparing import prepare_queries
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    kind, settings, draw = (snakemake.params[name] for name in ("kind", "settings", "draw"))
    draw = Draw.model_validate(draw) if draw else None
    # No parameter of the rule: another relevance leaves these files as they are.
    relevance = snakemake.config["querysets"][snakemake.wildcards.queryset]["relevance"]
    prepare_queries(kind, settings=settings, draw=draw, relevance=relevance, **snakemake.input, **snakemake.output)
