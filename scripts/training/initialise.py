"""Rule initialise: the untrained re-ranker."""

from pathlib import Path

from multistage.config.training import PairSettings
from multistage.jobs.log import job_log
from multistage.training.stage import initialise

with job_log(snakemake.log[0]):
    lengths, output = PairSettings.model_validate(snakemake.params.lengths), Path(snakemake.output.model).parent
    initialise(**snakemake.input, lengths=lengths, seed=int(snakemake.wildcards.seed), output=output)
