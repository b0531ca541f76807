"""Rule evaluate: measures per query of every run of a benchmark."""

from multistage.evaluation.measures import System, evaluate_runs, write_values
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    values = evaluate_runs(
        [System(*system) for system in snakemake.params.systems],
        snakemake.input.runs,
        qrels=snakemake.input.qrels,
        measures=snakemake.params.measures,
        relevance=snakemake.params.relevance,
        depth=snakemake.params.depth,
    )
    write_values(values, snakemake.output.values)
