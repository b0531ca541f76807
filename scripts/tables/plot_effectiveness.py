"""Rule plot_effectiveness: effectiveness by recipe and retriever."""

from multistage.jobs.log import job_log
from multistage.reporting.plots import plot_effectiveness
from multistage.reporting.tables import read_table

with job_log(snakemake.log[0]):
    plot_effectiveness(
        read_table(snakemake.input.means),
        measure=snakemake.params.measure,
        confidence=snakemake.params.confidence,
        svg=snakemake.output.svg,
        png=snakemake.output.png,
    )
