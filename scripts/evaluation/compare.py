"""Rule compare: means, differences and tests of all systems."""

import pandas as pd

from multistage.evaluation.comparison import Criteria, compare
from multistage.jobs.log import job_log
from multistage.reporting.tables import write_comparison

with job_log(snakemake.log[0]):
    values = zip(snakemake.params.benchmarks, map(pd.read_parquet, snakemake.input.values), strict=True)
    tables = compare(dict(values), Criteria.from_config(snakemake.params.criteria))
    write_comparison(*tables, snakemake.output.means, snakemake.output.differences)
