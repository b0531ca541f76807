"""Rule tabulate: effectiveness as tables three ways, the answer, and effectiveness beside what it costs."""

from multistage.config.evaluation import Evaluation
from multistage.evaluation.fusion import read_weights
from multistage.jobs.files import write_texts
from multistage.jobs.log import job_log
from multistage.reporting.answer import answer
from multistage.reporting.costs import cost_table, reranking_costs, training_costs, write_costs
from multistage.reporting.tables import read_table, tuned_sentences, write_effectiveness

with job_log(snakemake.log[0]):
    params, output = snakemake.params, snakemake.output
    means, differences = read_table(snakemake.input.means), read_table(snakemake.input.differences)
    settings = Evaluation.model_validate(params.settings)
    weights = read_weights(params.fused, snakemake.input.weights) if params.fused else None
    files = {"markdown": output.markdown, "latex": output.latex, "html": output.html}
    tuned = tuned_sentences(params.tuned, snakemake.input.tuned, params.validation)
    tables = write_effectiveness(means, differences, settings, **files, weights=weights, tuned=tuned)
    write_texts({output.answer: answer(means, differences, settings, measure=params.measure, tables=tables)})
    training = training_costs(params.stages, snakemake.input.training)
    reranking = reranking_costs(params.timed, snakemake.input.timings)
    costs = cost_table(means, training, reranking, params.measure)
    write_costs(costs, output.costs, output.costs_markdown, output.costs_html)
