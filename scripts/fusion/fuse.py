"""Rule fuse: re-ranked and first-stage scores as one run."""

from multistage.config.recipes import FUSED
from multistage.evaluation.fusion import fuse_files
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    tag = "{backbone}/{recipe}{fused}/seed{seed}".format(**snakemake.wildcards, fused=FUSED)
    fuse_files(**snakemake.input, **snakemake.params, tag=tag, output=snakemake.output.run)
