"""Multi-stage fine-tuning of cross-encoder re-rankers: all logic of the workflow, importable without Snakemake."""

import gc

# What torch and transformers make as they are imported stays: by default, looking through it again and again takes an eighth of
# the time that a job needs to start.
gc.set_threshold(10_000)
