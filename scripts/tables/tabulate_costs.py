"""Rule tabulate_costs: effectiveness beside what it costs."""

import pandas as pd

from multistage.jobs.log import job_log
from multistage.reporting.costs import Model, cost_table, rerank_seconds, training_costs, write_costs
from multistage.reporting.tables import read_table

with job_log(snakemake.log[0]):
    stages = [Model(*stage) for stage in snakemake.params.stages]
    reranking = pd.DataFrame(list(snakemake.params.timed), columns=[*Model._fields, "benchmark"])
    table = cost_table(
        read_table(snakemake.input.means),
        training_costs(stages, snakemake.input.training),
        reranking.assign(seconds=list(map(rerank_seconds, snakemake.input.timings))),
        snakemake.params.measure,
    )
    write_costs(table, snakemake.output.csv, snakemake.output.markdown, snakemake.output.html)
