"""Rule read_permutations: a teacher's permutations as a run."""

from typing import TYPE_CHECKING

from collection.tables import read_ids
from jobs.log import job_log
from teacher.rankgpt import read_rankings
from trec.runs import write_run

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0]):
    run, _ = read_rankings(
        snakemake.input.candidates,
        snakemake.input.permutations,
        snakemake.params.malformed,
        read_ids(snakemake.input.queries),
    )
    write_run(snakemake.output.run, run, tag=snakemake.wildcards.teacher)
