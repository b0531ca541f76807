"""Rule colbert_encode: the token vectors of the passages in one part of a collection."""

from multistage.data.tables import count_texts, stream_texts
from multistage.jobs.log import job_log
from multistage.retrieval.late_interaction import encode_passages, load_encoder
from multistage.retrieval.shards import shard_rows

with job_log(snakemake.log[0]):
    passages = snakemake.input.passages
    start, stop = shard_rows(count_texts(passages), int(snakemake.wildcards.shard), snakemake.params.shards)
    encoder = load_encoder(snakemake.input.checkpoint, snakemake.params.max_length, snakemake.config["device"])
    encode_passages(encoder, stream_texts(passages, start, stop), stop - start, snakemake.output.vectors)
