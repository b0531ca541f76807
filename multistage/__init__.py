"""Multi-stage fine-tuning of cross-encoder re-rankers: all logic of the workflow, importable without Snakemake."""
