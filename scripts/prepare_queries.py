"""Rule prepare_queries: queries and relevance judgements of one split of a collection."""

from typing import TYPE_CHECKING

from collection.vital_articles import SplitSettings, write_query_set
from jobs.log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0]):
    write_query_set(
        wheel=snakemake.input.wheel,
        member=snakemake.params.member,
        articles=snakemake.params.articles,
        split=snakemake.params.split,
        settings=SplitSettings(**snakemake.params.sizes),
        queries=snakemake.output.queries,
        qrels=snakemake.output.qrels,
    )
