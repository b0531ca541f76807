"""Rule initialise: the untrained re-ranker."""

from pathlib import Path

from multistage.config import PairSettings
from multistage.jobs.log import job_log
from multistage.training.stage import initialise

with job_log(snakemake.log[0]):
    initialise(
        snakemake.input.checkpoint,
        PairSettings.model_validate(snakemake.params.lengths),
        seed=int(snakemake.wildcards.seed),
        output=Path(snakemake.output.model).parent,
        vocabulary=snakemake.input.vocabulary,
    )
