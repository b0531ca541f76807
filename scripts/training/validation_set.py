"""Rule validation_set: the small re-ranking set that training is watched on."""

from multistage.data.candidates import validation_set
from multistage.data.runs import read_run
from multistage.data.tables import read_ids, read_qrels
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    validation_set(
        read_run(snakemake.input.run, snakemake.params.depth, queries=snakemake.params.limit),
        read_qrels(snakemake.input.qrels),
        read_ids(snakemake.input.queries),
        read_ids(snakemake.input.passages),
        source=snakemake.input.run,
    ).write(snakemake.output.validation)
