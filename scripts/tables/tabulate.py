"""Rule tabulate: the table of results three ways, and the answer."""

from multistage.config import Evaluation
from multistage.jobs.files import write_texts
from multistage.jobs.log import job_log
from multistage.reporting.answer import answer
from multistage.reporting.tables import read_table, write_effectiveness

with job_log(snakemake.log[0]):
    means, differences = read_table(snakemake.input.means), read_table(snakemake.input.differences)
    settings = Evaluation.model_validate(snakemake.params.settings)
    output = snakemake.output
    write_texts({output.answer: answer(means, differences, settings, snakemake.params.measure)})
    write_effectiveness(means, differences, settings, markdown=output.markdown, latex=output.latex, html=output.html)
