"""Rule view_queries: queries that a further stage helps and hurts."""

from multistage.evaluation.measures import read_values
from multistage.jobs.log import job_log
from multistage.reporting.queries import Step, write_view

with job_log(snakemake.log[0]):
    runs, params = iter(snakemake.input.runs), snakemake.params
    write_view(
        read_values(snakemake.input.values),
        [Step(backbone, recipe, parent, next(runs), next(runs)) for backbone, recipe, parent in params.stages],
        benchmark=snakemake.wildcards.benchmark,
        retriever=snakemake.wildcards.retriever,
        measure=params.measure,
        examples=params.examples,
        queries=snakemake.input.queries,
        passages=snakemake.input.passages,
        qrels=snakemake.input.qrels,
        csv=snakemake.output.csv,
        html=snakemake.output.html,
    )
