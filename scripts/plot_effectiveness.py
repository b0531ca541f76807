"""Rule plot_effectiveness: effectiveness by recipe and retriever."""

from typing import TYPE_CHECKING

from evaluation.plots import plot_effectiveness
from evaluation.tables import read_means
from jobs.log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0]):
    plot_effectiveness(
        read_means(snakemake.input.means),
        snakemake.params.measure,
        snakemake.params.confidence,
        snakemake.output.svg,
        snakemake.output.png,
    )
