"""Rule evaluate: measures per query of every run of a benchmark, and effectiveness by re-ranking depth."""

from multistage.evaluation.depth import depth_curves
from multistage.evaluation.measures import evaluate_runs, write_values
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    params, output = snakemake.params, snakemake.output
    given = {"systems": params.systems, "relevance": params.relevance, **snakemake.input}
    write_values(evaluate_runs(**given, measures=params.measures, depth=params.depth), output.values)
    for curves in output.curves:
        depth_curves(**given, measure=params.measures[0], candidates=params.candidates, depths=params.depths, output=curves)
