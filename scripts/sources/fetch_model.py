"""Rule fetch_model: fetch a pre-trained model from the Hugging Face Hub, or its mirror."""

from multistage.jobs.log import job_log
from multistage.sources.hub import fetch_model

with job_log(snakemake.log[0]):
    fetch_model(
        snakemake.params.hub,
        snakemake.params.revision,
        snakemake.params.licence,
        snakemake.output.checkpoint,
        # Not a parameter: where a model is taken from does not change it, and must rerun nothing.
        snakemake.config["mirrors"],
    )
