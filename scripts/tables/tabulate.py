"""Rule tabulate: effectiveness as tables and plots, beside its cost and published results, and the answer."""

from multistage.config.evaluation import Evaluation
from multistage.evaluation.fusion import read_weights
from multistage.jobs.files import write_texts
from multistage.jobs.log import job_log
from multistage.reporting.answer import answer
from multistage.reporting.costs import cost_table, reranking_costs, training_costs, write_costs
from multistage.reporting.plots import plot_costs, plot_depths, plot_effectiveness, save
from multistage.reporting.published import write_beside
from multistage.reporting.tables import read_table, tuned_sentences, write_effectiveness

with job_log(snakemake.log[0]):
    given, params, output = snakemake.input, snakemake.params, snakemake.output
    means, differences = read_table(given.means), read_table(given.differences)
    settings = Evaluation.model_validate(params.settings)
    for published in given.published:
        write_beside(means, published, *output.beside, *output.beside_markdown)
    weights = read_weights(params.fused, given.weights) if params.fused else None
    files = {"markdown": output.markdown, "latex": output.latex, "html": output.html}
    tuned = tuned_sentences(params.tuned, given.tuned, params.validation)
    tables = write_effectiveness(means, differences, settings, **files, weights=weights, tuned=tuned)
    write_texts({output.answer: answer(means, differences, settings, measure=params.measure, tables=tables)})
    training = training_costs(params.stages, given.training)
    costs = cost_table(means, training, reranking_costs(params.timed, given.timings), params.measure)
    write_costs(costs, output.costs, output.costs_markdown, output.costs_html)
    figures = [plot_effectiveness(means, params.measure, settings.confidence)]
    if given.curves:
        curves = zip(params.benchmarks, map(read_table, given.curves), strict=True)
        figures += [plot_costs(costs), plot_depths(dict(curves))]
    for figure, *plots in zip(figures, output.svg, output.png, strict=True):
        save(figure, *plots)
