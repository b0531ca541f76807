"""Rule tabulate: the table of results."""

from typing import TYPE_CHECKING

import pandas as pd

from evaluation.comparison import IntervalSettings, compare
from evaluation.tables import write_tables
from jobs.log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0]):
    names = zip(snakemake.params.benchmarks, snakemake.input.values, strict=True)
    table = compare(
        {benchmark: pd.read_parquet(path) for benchmark, path in names}, IntervalSettings(**snakemake.params.intervals)
    )
    write_tables(table, snakemake.output.csv, snakemake.output.markdown)
