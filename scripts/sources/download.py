"""Rule download: fetch a file from its address."""

from multistage.jobs.log import job_log
from multistage.sources.downloads import download

with job_log(snakemake.log[0]):
    download(
        snakemake.params.url,
        snakemake.output.file,
        sha256=snakemake.params.sha256,
        md5=snakemake.params.md5,
        size=snakemake.params.bytes,
    )
