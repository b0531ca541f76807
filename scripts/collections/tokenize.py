"""Rule tokenize: passages or queries as token ids."""

from multistage.data.tables import count_texts, stream_texts
from multistage.data.tokens import StoreFiles, build_store, load_tokenizer
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    build_store(
        stream_texts(snakemake.input.texts),
        count_texts(snakemake.input.texts),
        load_tokenizer(snakemake.input.checkpoint),
        StoreFiles(snakemake.output.ids, snakemake.output.offsets, snakemake.output.description),
    )
