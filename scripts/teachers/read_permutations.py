"""Rule read_permutations: the run of RankGPT's permutations."""

from multistage.data.runs import write_run
from multistage.data.tables import read_ids
from multistage.jobs.log import job_log
from multistage.teachers.rankgpt import read_rankings

with job_log(snakemake.log[0]):
    given, malformed = snakemake.input, snakemake.params.malformed
    run = read_rankings(given.candidates, given.permutations, malformed, read_ids(given.queries))
    write_run(snakemake.output.run, run, tag=snakemake.wildcards.teacher)
