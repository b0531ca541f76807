"""Rule distillation_groups: the teacher's rankings of the training queries."""

from dataclasses import asdict

from multistage.data.candidates import distillation_groups
from multistage.data.runs import read_run
from multistage.data.tables import read_ids
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    queries = read_ids(snakemake.input.queries)
    run = read_run(snakemake.input.run, queries=queries, passages=read_ids(snakemake.input.passages))
    groups, counts = distillation_groups(run, len(queries), scored=snakemake.params.scored)
    groups.write(snakemake.output.groups, asdict(counts))
