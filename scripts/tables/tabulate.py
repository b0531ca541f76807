"""Rule tabulate: the table of results three ways, and the answer."""

from multistage.evaluation.comparison import Criteria
from multistage.jobs.log import job_log
from multistage.reporting.answer import write_answer
from multistage.reporting.tables import read_table, write_effectiveness

with job_log(snakemake.log[0]):
    means, differences = read_table(snakemake.input.means), read_table(snakemake.input.differences)
    criteria = Criteria.from_config(snakemake.params.criteria)
    output = snakemake.output
    write_answer(means, differences, criteria, measure=snakemake.params.measure, output=output.answer)
    write_effectiveness(means, differences, criteria, markdown=output.markdown, latex=output.latex, html=output.html)
