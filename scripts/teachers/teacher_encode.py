"""Rule teacher_encode: a teacher's vectors of a collection's passages."""

from multistage.data.tables import read_texts
from multistage.jobs.log import job_log
from multistage.retrieval.dense import load_bi_encoder
from multistage.teachers.bi_encoder import encode, write_vectors

with job_log(snakemake.log[0]):
    encoder = load_bi_encoder(
        snakemake.input.checkpoint,
        snakemake.params.max_length,
        snakemake.config["device"],
        precision=snakemake.params.precision,
    )
    write_vectors(snakemake.output.vectors, encode(encoder, read_texts(snakemake.input.passages)["text"].to_list()))
