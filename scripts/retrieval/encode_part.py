"""Rules dense_encode and colbert_encode: an encoder's vectors of the passages in one part of a collection."""

import torch

from multistage.data.tables import count_texts, stream_texts
from multistage.jobs.log import job_log
from multistage.retrieval.encoding import encode_passages, load_encoder, shard_rows

with job_log(snakemake.log[0]):
    passages, params = snakemake.input.passages, snakemake.params
    start, stop = shard_rows(count_texts(passages), int(snakemake.wildcards.shard), params.shards)
    encode_passages(
        load_encoder(
            snakemake.input.checkpoint, **params.encoder, device=snakemake.config["device"], precision=params.precision
        ),
        stream_texts(passages, start, stop),
        total=stop - start,
        output=snakemake.output.vectors,
        dtype=torch.float32 if params.encoder["kind"] == "bi-encoder" else torch.float16,
    )
