"""Rule bm25_tune: k1 and b that validation queries choose."""

from multistage.evaluation.tuning import tune_bm25
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    tune_bm25(**snakemake.input, **snakemake.params, threads=snakemake.threads, output=snakemake.output.chosen)
