"""Rule tabulate_published: our results beside published ones."""

from multistage.jobs.log import job_log
from multistage.reporting.published import write_beside
from multistage.reporting.tables import read_table

with job_log(snakemake.log[0]):
    given, output = snakemake.input, snakemake.output
    write_beside(read_table(given.means), given.published, output.csv, output.markdown)
