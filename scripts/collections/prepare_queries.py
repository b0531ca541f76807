"""Rule prepare_queries: queries and relevance judgements of a query set."""

from multistage.config import Draw
from multistage.data.preparing import prepare_queries
from multistage.jobs.log import job_log

draw = snakemake.params.draw
with job_log(snakemake.log[0]):
    prepare_queries(
        kind=snakemake.params.kind,
        sources=snakemake.input.sources,
        settings=snakemake.params.settings,
        draw=Draw.model_validate(draw) if draw else None,
        # No parameter of the rule: another relevance leaves these files as they are.
        relevance=snakemake.config["querysets"][snakemake.wildcards.queryset]["relevance"],
        queries=snakemake.output.queries,
        qrels=snakemake.output.qrels,
        passages=snakemake.input.passages or None,
    )
