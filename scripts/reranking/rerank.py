"""Rule rerank: every first stage of a benchmark re-ranked by one model."""

from pathlib import Path

from multistage.config.training import PairSettings
from multistage.data.runs import read_run
from multistage.data.tables import read_ids
from multistage.data.tokens import TokenStore
from multistage.jobs.log import job_log
from multistage.scoring.reranking import Scorer

with job_log(snakemake.log[0]):
    wildcards = snakemake.wildcards
    queries, passages = read_ids(snakemake.input.query_ids), read_ids(snakemake.input.passage_ids)
    Scorer(
        folder=Path(snakemake.input.model).parent,
        lengths=PairSettings.model_validate(snakemake.params.backbone),
        tokens_per_batch=snakemake.config["backbones"][wildcards.backbone]["tokens_per_batch"],
        device=snakemake.config["device"],
        precision=snakemake.params.precision,
    ).rerank(
        [read_run(run, snakemake.params.depth, queries=queries, passages=passages) for run in snakemake.input.runs],
        queries=(queries, TokenStore.open(snakemake.input.queries)),
        passages=(passages, TokenStore.open(snakemake.input.passages)),
        tag="{backbone}/{recipe}/seed{seed}".format(**wildcards),
        outputs=snakemake.output.runs,
    )
