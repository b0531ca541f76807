"""Rule plot: effectiveness by system, by cost and by re-ranking depth."""

from multistage.jobs.log import job_log
from multistage.reporting.plots import plot_costs, plot_depths, plot_effectiveness, save
from multistage.reporting.tables import read_table

with job_log(snakemake.log[0]):
    params, output = snakemake.params, snakemake.output
    curves = zip(params.benchmarks, map(read_table, snakemake.input.curves), strict=True)
    means, costs = read_table(snakemake.input.means), read_table(snakemake.input.costs)
    save(plot_effectiveness(means, params.measure, params.confidence), output.effectiveness, output.png[0])
    if snakemake.input.curves:
        save(plot_costs(costs), output.costs, output.png[1])
        save(plot_depths(dict(curves)), output.depths, output.png[2])
