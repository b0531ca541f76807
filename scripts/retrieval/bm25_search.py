"""Rule bm25_search: BM25's run for a query set."""

from multistage.data.runs import write_runs
from multistage.data.tables import read_texts
from multistage.jobs.log import job_log
from multistage.retrieval.lucene import search

with job_log(snakemake.log[0]):
    queries = read_texts(snakemake.input.queries)
    runs = search(snakemake.input.index, queries, **snakemake.params.settings, threads=snakemake.threads)
    write_runs(snakemake.output.run, runs, tag=snakemake.wildcards.retriever)
