"""Rule tabulate_published: our results beside published ones."""

from multistage.jobs.log import job_log
from multistage.reporting.published import beside_published, read_published, write_beside
from multistage.reporting.tables import read_table

with job_log(snakemake.log[0]):
    published = read_published(snakemake.input.published)
    both = beside_published(read_table(snakemake.input.means), published, snakemake.input.published)
    write_beside(both, snakemake.output.csv, snakemake.output.markdown)
