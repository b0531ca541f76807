"""Rule model_card: a model's card, as Markdown and as a page, and its training curve."""

from multistage.jobs.log import job_log
from multistage.reporting.card import write_card

with job_log(snakemake.log[0]):
    curve = snakemake.output.get("curve")
    if curve:
        from multistage.reporting.plots import plot_training, save

        save(plot_training(snakemake.input.records[0]), curve)
    write_card(
        snakemake.input.records,
        lineage=snakemake.params.lineage,
        backbone=snakemake.wildcards.backbone,
        readme=snakemake.output.readme,
        page=snakemake.output.page,
        curve=curve,
        fold=snakemake.wildcards.seed.partition("/fold")[2],
    )
