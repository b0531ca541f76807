"""Rule download: fetch a file from its address."""

from multistage.jobs.log import job_log
from multistage.sources.downloads import download

source = snakemake.params.source
with job_log(snakemake.log[0]):
    download(source["url"], snakemake.output.file, sha256=source["sha256"], md5=source["md5"], size=source["bytes"])
