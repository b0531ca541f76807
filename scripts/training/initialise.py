"""Rule initialise: the untrained re-ranker."""

from pathlib import Path

from multistage.config.training import Backbone
from multistage.jobs.log import job_log
from multistage.training.stage import initialise

with job_log(snakemake.log[0]):
    # What of these changes the result is a parameter of the rule; the rest is checked.
    settings = Backbone.model_validate(snakemake.config["backbones"][snakemake.wildcards.backbone])
    output = Path(snakemake.output.model).parent
    initialise(**snakemake.input, settings=settings, seed=int(snakemake.wildcards.seed), output=output)
