"""Rule prepare_queries: queries and relevance judgements of a query set."""

from multistage.data.preparing import prepare_queries
from multistage.data.query_sets import Draw
from multistage.jobs.log import job_log

draw = snakemake.params.draw
with job_log(snakemake.log[0]):
    prepare_queries(
        kind=snakemake.params.kind,
        sources=snakemake.input.sources,
        settings=snakemake.params.settings,
        draw=Draw(draw["seed"], draw["from"], draw["to"]) if draw else None,
        queries=snakemake.output.queries,
        qrels=snakemake.output.qrels,
        passages=snakemake.input.passages or None,
    )
