"""Rule model_card: a model's card, as Markdown and as a page, and its training curve."""

from multistage.jobs.log import job_log
from multistage.reporting.card import write_card

with job_log(snakemake.log[0]):
    named = {"backbone": snakemake.wildcards.backbone, "fold": snakemake.wildcards.seed.partition("/fold")[2]}
    write_card(**snakemake.input, **snakemake.params, **named, **snakemake.output)
