"""Rule fetch_package: download a pinned package as a file."""

from typing import TYPE_CHECKING

from multistage.jobs.log import job_log
from multistage.sources.packages import fetch_package

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0]):
    fetch_package(snakemake.params.package, snakemake.params.sha256, snakemake.output.wheel)
