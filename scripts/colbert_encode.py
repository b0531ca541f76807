"""Rule colbert_encode: the token vectors of a collection's passages."""

from typing import TYPE_CHECKING

from collection.tables import read_texts
from jobs.log import job_log
from retrieval.late_interaction import encode_passages, load_encoder

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0]):
    encoder = load_encoder(snakemake.input.checkpoint, snakemake.params.max_length, snakemake.config["device"])
    encode_passages(encoder, read_texts(snakemake.input.passages)["text"].tolist(), snakemake.output.vectors)
