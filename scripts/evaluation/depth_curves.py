"""Rule depth_curves: effectiveness by re-ranking depth."""

from multistage.evaluation.depth import depth_curves
from multistage.evaluation.measures import System
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    depth_curves(
        [System(*system) for system in snakemake.params.systems],
        snakemake.input.runs,
        dict(zip(snakemake.params.retrievers, snakemake.input.first_stages, strict=True)),
        snakemake.input.qrels,
        snakemake.params.measure,
        snakemake.params.relevance,
        snakemake.params.candidates,
        snakemake.params.depths,
        snakemake.output.curves,
    )
