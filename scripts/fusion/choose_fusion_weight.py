"""Rule choose_fusion_weight: the weight of a re-ranker's scores beside its first stage's."""

from multistage.evaluation.fusion import choose_weight
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    choose_weight(
        snakemake.input.reranked,
        snakemake.input.first_stage,
        snakemake.input.qrels,
        depth=snakemake.params.depth,
        norm=snakemake.params.fusion["norm"],
        measure=snakemake.params.fusion["measure"],
        relevance=snakemake.params.relevance,
        output=snakemake.output.weight,
    )
