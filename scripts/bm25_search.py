"""Rule bm25_search: BM25's run for a query set."""

from typing import TYPE_CHECKING

from collection.tables import read_texts
from jobs.log import job_log
from retrieval.lucene import search
from trec.runs import write_runs

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0]):
    runs = search(
        snakemake.input.index,
        read_texts(snakemake.input.queries),
        k1=snakemake.params.k1,
        b=snakemake.params.b,
        depth=snakemake.params.depth,
        threads=snakemake.threads,
    )
    write_runs(snakemake.output.run, runs, tag=snakemake.wildcards.retriever)
