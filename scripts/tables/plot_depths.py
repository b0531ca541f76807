"""Rule plot_depths: effectiveness by re-ranking depth."""

from multistage.jobs.log import job_log
from multistage.reporting.plots import plot_depths
from multistage.reporting.tables import read_table

with job_log(snakemake.log[0]):
    curves = zip(snakemake.params.benchmarks, map(read_table, snakemake.input.curves), strict=True)
    plot_depths(dict(curves), snakemake.output.svg, snakemake.output.png)
