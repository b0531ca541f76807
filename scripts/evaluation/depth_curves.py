"""Rule depth_curves: effectiveness by re-ranking depth."""

from multistage.evaluation.depth import depth_curves
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    depth_curves(**snakemake.input, **snakemake.params, output=snakemake.output.curves)
