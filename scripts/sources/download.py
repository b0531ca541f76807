"""Rule download: fetch a file from its address, or its mirror."""

from pathlib import Path

from multistage.jobs.log import job_log
from multistage.sources.checksums import Expected
from multistage.sources.downloads import download_source

with job_log(snakemake.log[0]):
    download_source(
        snakemake.wildcards.source,
        snakemake.params.url,
        snakemake.output.file,
        Expected(sha256=snakemake.params.sha256, md5=snakemake.params.md5, bytes=snakemake.params.bytes),
        # Not a parameter: where a file is taken from does not change it, and must rerun nothing.
        snakemake.config["mirrors"],
        ledger=Path(snakemake.output.file).parent.parent / "checksums.tsv",
    )
