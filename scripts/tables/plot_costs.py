"""Rule plot_costs: effectiveness by seconds of training."""

from multistage.jobs.log import job_log
from multistage.reporting.plots import plot_costs
from multistage.reporting.tables import read_table

with job_log(snakemake.log[0]):
    plot_costs(read_table(snakemake.input.costs), snakemake.output.svg, snakemake.output.png)
