"""Rule download_dataset: have ir_datasets download a dataset to its home."""

from typing import TYPE_CHECKING

from multistage.data.ir_datasets_reader import Dataset
from multistage.jobs.log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0]):
    Dataset(snakemake.wildcards.dataset).download()
