"""Rule distillation_groups: the teacher's rankings of the training queries."""

from dataclasses import asdict

from multistage.data.candidates import distillation_groups
from multistage.data.runs import read_run
from multistage.data.tables import read_ids
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    groups, counts = distillation_groups(
        read_run(snakemake.input.run),
        read_ids(snakemake.input.queries),
        read_ids(snakemake.input.passages),
        scored=snakemake.params.scored,
        source=snakemake.input.run,
    )
    groups.write(snakemake.output.groups, asdict(counts))
