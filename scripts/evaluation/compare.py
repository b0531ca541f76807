"""Rule compare: means, differences and tests of all systems."""

from multistage.config.evaluation import Evaluation
from multistage.evaluation.comparison import compare
from multistage.evaluation.measures import read_values
from multistage.jobs.log import job_log
from multistage.reporting.tables import write_comparison

with job_log(snakemake.log[0]):
    values = zip(snakemake.params.benchmarks, map(read_values, snakemake.input.values), strict=True)
    tables = compare(dict(values), Evaluation.model_validate(snakemake.params.settings))
    write_comparison(*tables, snakemake.output.means, snakemake.output.differences)
