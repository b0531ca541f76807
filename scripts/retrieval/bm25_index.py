"""Rule bm25_index: a Lucene index of a collection."""

from multistage.jobs.log import job_log
from multistage.retrieval.lucene import index_passages

with job_log(snakemake.log[0]):
    index_passages(snakemake.input.passages, snakemake.output.index, snakemake.threads)
