"""Rule dense_encode: a bi-encoder's vectors of the passages in one part of a collection."""

from multistage.data.tables import count_texts, stream_texts
from multistage.jobs.log import job_log
from multistage.retrieval.dense import encode_passages, load_bi_encoder
from multistage.retrieval.shards import shard_rows

with job_log(snakemake.log[0]):
    passages, params = snakemake.input.passages, snakemake.params
    start, stop = shard_rows(count_texts(passages), int(snakemake.wildcards.shard), params.shards)
    encoder = load_bi_encoder(snakemake.input.checkpoint, params.max_length, snakemake.config["device"], params.pooling)
    encode_passages(encoder, stream_texts(passages, start, stop), stop - start, snakemake.output.vectors, half=params.half)
