"""Rule tokenize: passages or queries as token ids."""

from typing import TYPE_CHECKING

from collection.tables import read_texts
from crossencoder.tokens import StoreFiles, build_store, load_tokenizer_file
from jobs.log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0]):
    build_store(
        read_texts(snakemake.input.texts)["text"].tolist(),
        load_tokenizer_file(f"{snakemake.input.checkpoint}/tokenizer.json"),
        StoreFiles(snakemake.output.ids, snakemake.output.offsets, snakemake.output.description),
    )
