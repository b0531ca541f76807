"""Rule download_dataset: have ir_datasets download a dataset to its home."""

from multistage.data.ir_datasets_reader import Dataset
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    Dataset(snakemake.wildcards.dataset).download()
