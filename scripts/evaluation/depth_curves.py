"""Rule depth_curves: effectiveness by re-ranking depth."""

from multistage.evaluation.depth import depth_curves
from multistage.evaluation.measures import System
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    depth_curves(
        [System(*system) for system in snakemake.params.systems],
        snakemake.input.runs,
        first_stages=dict(zip(snakemake.params.retrievers, snakemake.input.first_stages, strict=True)),
        qrels=snakemake.input.qrels,
        measure=snakemake.params.measure,
        relevance=snakemake.params.relevance,
        candidates=snakemake.params.candidates,
        depths=snakemake.params.depths,
        output=snakemake.output.curves,
    )
