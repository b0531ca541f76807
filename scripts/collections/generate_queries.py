"""Rule generate_queries: queries that a language model writes for a sample of passages."""

from multistage.config.data import GeneratedQueries
from multistage.jobs.log import job_log
from multistage.sources.chat import chat
from multistage.sources.generated import generate_queries

with job_log(snakemake.log[0]):
    # What does not change the result, such as limits, is no parameter of the rule.
    entry = GeneratedQueries.model_validate(snakemake.config["querysets"][snakemake.wildcards.queryset])
    seed, each = entry.seed, entry.per_passage
    with chat(entry.generator, snakemake.params.answers) as asking:
        generate_queries(**snakemake.input, sample=entry.passages, per_passage=each, seed=seed, chat=asking, **snakemake.output)
