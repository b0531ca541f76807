"""Rule plot_effectiveness: effectiveness by recipe and retriever."""

from multistage.jobs.log import job_log
from multistage.reporting.plots import plot_effectiveness
from multistage.reporting.tables import read_means

with job_log(snakemake.log[0]):
    plot_effectiveness(
        read_means(snakemake.input.means),
        snakemake.params.measure,
        snakemake.params.confidence,
        snakemake.output.svg,
        snakemake.output.png,
    )
