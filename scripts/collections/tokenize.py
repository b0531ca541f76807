"""Rule tokenize: passages or queries as token ids."""

from multistage.data.tables import count_texts, stream_texts
from multistage.data.tokens import StoreFiles, build_store, load_tokenizer
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    texts, tokenizer = snakemake.input.texts, load_tokenizer(snakemake.input.checkpoint)
    build_store(stream_texts(texts), count_texts(texts), tokenizer, StoreFiles(**snakemake.output))
