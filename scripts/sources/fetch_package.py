"""Rule fetch_package: download a pinned package as a file."""

from multistage.jobs.log import job_log
from multistage.sources.downloads import fetch_package

with job_log(snakemake.log[0]):
    fetch_package(**snakemake.params.source, output=snakemake.output.wheel)
