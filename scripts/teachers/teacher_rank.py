"""Rule teacher_rank: a bi-encoder's run over first-stage candidates."""

from multistage.data.runs import read_run, with_ids, write_run
from multistage.data.tables import read_ids, read_texts
from multistage.jobs.log import job_log
from multistage.retrieval.dense import encode_queries, load_encoder
from multistage.retrieval.encoding import read_vectors
from multistage.teachers.bi_encoder import rank_candidates

with job_log(snakemake.log[0]):
    settings, precision = snakemake.params.settings, snakemake.params.precision
    queries, passages = read_texts(snakemake.input.queries), read_ids(snakemake.input.passages)
    encoder = load_encoder(snakemake.input.checkpoint, settings["max_length"], snakemake.config["device"], precision=precision)
    run = rank_candidates(
        read_run(snakemake.input.run, settings["depth"], queries=queries["id"], passages=passages),
        encode_queries(encoder, queries["text"].to_list()),
        read_vectors(snakemake.input.vectors)[0].numpy(),
        settings["weight"],
    )
    write_run(snakemake.output.run, with_ids(run, queries["id"], passages), tag=snakemake.wildcards.teacher)
