"""Rule tabulate: the table of results three ways, and the answer."""

from multistage.evaluation.comparison import Criteria
from multistage.jobs.log import job_log
from multistage.reporting.answer import answer, write_answer
from multistage.reporting.tables import read_differences, read_means, write_tables

with job_log(snakemake.log[0]):
    means, differences = read_means(snakemake.input.means), read_differences(snakemake.input.differences)
    criteria = Criteria.from_config(snakemake.params.criteria)
    output = snakemake.output
    write_answer(answer(means, differences, criteria, snakemake.params.measure), output.answer)
    write_tables(means, differences, criteria, output.markdown, output.latex, output.html)
