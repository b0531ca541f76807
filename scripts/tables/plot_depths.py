"""Rule plot_depths: effectiveness by re-ranking depth."""

import pandas as pd

from multistage.jobs.log import job_log
from multistage.reporting.plots import plot_depths

with job_log(snakemake.log[0]):
    curves = zip(snakemake.params.benchmarks, map(pd.read_csv, snakemake.input.curves), strict=True)
    plot_depths(dict(curves), snakemake.output.svg, snakemake.output.png)
