"""Rule view_queries: queries that a further stage helps and hurts."""

import pandas as pd

from multistage.jobs.log import job_log
from multistage.reporting.queries import Step, as_html, query_view, write_view

with job_log(snakemake.log[0]):
    retriever, benchmark = snakemake.wildcards.retriever, snakemake.wildcards.benchmark
    runs = iter(snakemake.input.runs)
    steps = [Step(backbone, recipe, parent, next(runs), next(runs)) for backbone, recipe, parent in snakemake.params.stages]
    measure = snakemake.params.measure
    view = query_view(
        pd.read_parquet(snakemake.input.values),
        retriever,
        steps,
        measure,
        snakemake.input.queries,
        snakemake.input.passages,
        snakemake.input.qrels,
    )
    page = as_html(view, benchmark, retriever, measure, snakemake.params.examples)
    write_view(view, page, snakemake.output.csv, snakemake.output.html)
