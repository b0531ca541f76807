"""Snakemake whose Slurm plugin looks at its jobs every three seconds, not ten seconds later each time none has ended."""

from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor

Executor.next_seconds_between_status_checks = property(lambda self: 3, lambda self, seconds: None)
main()
