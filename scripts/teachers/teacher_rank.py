"""Rule teacher_rank: a teacher's order of first-stage candidates, as RankGPT permutations."""

import numpy as np

from multistage.data.runs import read_run
from multistage.data.tables import read_texts
from multistage.jobs.log import job_log
from multistage.retrieval.dense import load_bi_encoder
from multistage.teachers.bi_encoder import encode, rank_candidates
from multistage.teachers.rankgpt import write_rankings

with job_log(snakemake.log[0]):
    queries, passages = read_texts(snakemake.input.queries), read_texts(snakemake.input.passages)
    run = read_run(snakemake.input.run, snakemake.params.depth, queries=queries["id"], passages=passages["id"])
    encoder = load_bi_encoder(
        snakemake.input.checkpoint,
        snakemake.params.max_length,
        snakemake.config["device"],
        precision=snakemake.params.precision,
    )
    taught = rank_candidates(
        run=run,
        queries=queries,
        passages=passages,
        query_vectors=encode(encoder, queries["text"].to_list()),
        passage_vectors=np.load(snakemake.input.vectors),
        weight=snakemake.params.weight,
    )
    write_rankings(
        taught,
        snakemake.output.candidates,
        snakemake.output.permutations,
        snakemake.output.scores,
        tag=snakemake.wildcards.teacher,
    )
