"""Rule teacher_rank: a bi-encoder's run over first-stage candidates."""

import torch

from multistage.data.runs import read_run, with_ids, write_run
from multistage.data.tables import read_ids, read_texts
from multistage.jobs.log import job_log
from multistage.retrieval.encoding import encode_queries, load_encoder, read_vectors
from multistage.teachers.bi_encoder import rank_candidates

with job_log(snakemake.log[0]):
    given, params, device = snakemake.input, snakemake.params, snakemake.config["device"]
    queries, passages = read_texts(given.queries), read_ids(given.passages)
    encoder = load_encoder(given.checkpoint, **params.encoder, device=device, precision=params.precision)
    run = rank_candidates(
        read_run(given.run, params.settings["depth"], queries=queries["id"], passages=passages),
        torch.stack(encode_queries(encoder, queries["text"].to_list())).numpy(),
        read_vectors(given.vectors)[0].numpy(),
        params.settings["weight"],
    )
    write_run(snakemake.output.run, with_ids(run, queries["id"], passages), tag=snakemake.wildcards.teacher)
