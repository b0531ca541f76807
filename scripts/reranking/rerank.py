"""Rule rerank: every first stage of a benchmark re-ranked by one model."""

from multistage.config import PairSettings
from multistage.data.tokens import StoreFiles
from multistage.jobs.log import job_log
from multistage.scoring.reranking import RerankInputs, rerank

with job_log(snakemake.log[0]):
    wildcards = snakemake.wildcards
    rerank(
        RerankInputs(
            model=snakemake.input.model,
            runs=snakemake.input.runs,
            query_ids=snakemake.input.query_ids,
            passage_ids=snakemake.input.passage_ids,
            queries=StoreFiles(*snakemake.input.queries),
            passages=StoreFiles(*snakemake.input.passages),
        ),
        depth=snakemake.params.depth,
        backbone=PairSettings.model_validate(snakemake.params.backbone),
        tokens_per_batch=snakemake.config["backbones"][wildcards.backbone]["tokens_per_batch"],
        device=snakemake.config["device"],
        tag=f"{wildcards.backbone}/{wildcards.recipe}/seed{wildcards.seed}",
        outputs=snakemake.output.runs,
    )
