"""Rule view_queries: queries that a further stage helps and hurts."""

from multistage.evaluation.measures import read_values
from multistage.jobs.log import job_log
from multistage.reporting.queries import Step, query_view, write_view

with job_log(snakemake.log[0]):
    runs = iter(snakemake.input.runs)
    view = query_view(
        read_values(snakemake.input.values),
        [Step(backbone, recipe, parent, next(runs), next(runs)) for backbone, recipe, parent in snakemake.params.stages],
        retriever=snakemake.wildcards.retriever,
        measure=snakemake.params.measure,
        queries=snakemake.input.queries,
        passages=snakemake.input.passages,
        qrels=snakemake.input.qrels,
    )
    write_view(
        view,
        benchmark=snakemake.wildcards.benchmark,
        retriever=snakemake.wildcards.retriever,
        measure=snakemake.params.measure,
        examples=snakemake.params.examples,
        csv=snakemake.output.csv,
        html=snakemake.output.html,
    )
