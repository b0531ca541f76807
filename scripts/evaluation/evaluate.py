"""Rule evaluate: measures per query of every run of a benchmark."""

from multistage.evaluation.measures import System, evaluate_runs
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    evaluate_runs(
        [System(*system) for system in snakemake.params.systems],
        snakemake.input.runs,
        qrels=snakemake.input.qrels,
        measures=snakemake.params.measures,
        relevance=snakemake.params.relevance,
        depth=snakemake.params.depth,
        output=snakemake.output.values,
    )
