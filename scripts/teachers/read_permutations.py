"""Rule read_permutations: the run of RankGPT's permutations."""

from multistage.data.runs import write_run
from multistage.data.tables import read_ids
from multistage.jobs.log import job_log
from multistage.teachers.rankgpt import read_rankings

with job_log(snakemake.log[0]):
    run, _ = read_rankings(
        snakemake.input.candidates,
        snakemake.input.permutations,
        snakemake.params.malformed,
        read_ids(snakemake.input.queries),
    )
    write_run(snakemake.output.run, run, tag=snakemake.wildcards.teacher)
