"""Rule choose_fusion_weight: the weight of a re-ranker's scores beside its first stage's."""

from multistage.evaluation.fusion import choose_weight
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    params, weight = snakemake.params, snakemake.output.weight
    choose_weight(**snakemake.input, **params.fusion, depth=params.depth, relevance=params.relevance, output=weight)
