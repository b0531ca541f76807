"""Rule bm25_search: BM25's run for a query set."""

from multistage.data.runs import write_runs
from multistage.data.tables import read_texts
from multistage.jobs.files import read_json
from multistage.jobs.log import job_log
from multistage.retrieval.lucene import search

with job_log(snakemake.log[0]):
    queries = read_texts(snakemake.input.queries)
    chosen = read_json(snakemake.input.chosen, "k1", "b") if snakemake.input.chosen else {}
    settings = snakemake.params.settings | {key: chosen[key] for key in ("k1", "b") if chosen}
    runs = search(snakemake.input.index, queries, **settings, threads=snakemake.threads)
    write_runs(snakemake.output.run, runs, tag=snakemake.wildcards.retriever)
