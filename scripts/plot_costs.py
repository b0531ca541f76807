"""Rule plot_costs: effectiveness by seconds of training."""

from typing import TYPE_CHECKING

from evaluation.cost import read_costs
from evaluation.plots import plot_costs
from jobs.log import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0]):
    plot_costs(read_costs(snakemake.input.costs), snakemake.output.svg, snakemake.output.png)
