"""The progress of a run as text: what runs where, how far each fine-tuning stage is, and what has failed."""

import re
import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from multistage.jobs import slurm_commands
from multistage.jobs.errors import InputError
from multistage.jobs.run_log import newest_log, read_run_log
from multistage.jobs.slurm import jobs_of

# As jobs.log.Rate writes it.
PROGRESS = re.compile(r"[\d,]+ of [\d,]+ steps, [\d.,]+/s, .* left")
# A fine-tuning log that has not changed for so many seconds belongs to an earlier run.
RECENT = 6 * 3600


def page(folder: Path) -> str:
    """The state of the newest run in a working folder, as text."""
    log = newest_log(folder)
    if log is None:
        return f"{folder}: Snakemake has not run here."
    run = read_run_log(log.read_text())
    failed = [f"{failure.rule}: {failure.reason} log: {', '.join(failure.logs)}" for failure in run.failures]
    parts = _in_slurm(folder, run.arrays) | {
        "not taken by Slurm ({})": slurm_commands.refused(folder),
        "running here ({})": list(run.running.values()),
        "fine-tuning": list(_stages(folder)),
        f"failed ({{}}), tried again ({run.retried})": failed,
    }
    shown = ["\n  ".join([title.format(len(lines)), *lines]) for title, lines in parts.items() if lines]
    return "\n\n".join([f"{run.done} of {run.total} jobs done ({log})", *shown])


def _in_slurm(folder: Path, tasks: dict[str, str]) -> dict[str, list[str]]:
    """The jobs of this folder that Slurm has; tasks: what those of arrays make, whose names do not say it."""
    if shutil.which("squeue") is None:
        return {}
    try:
        jobs = jobs_of(folder)
    except InputError as error:
        return {"in Slurm: not known": [str(error)]}
    lines = [
        f"{job:>8} {state.lower():10} {where:14} {elapsed:>10}  {tasks.get(job) or name}"
        for job, state, where, elapsed, name in jobs
    ]
    return {"in Slurm ({})": lines}


def _stages(folder: Path) -> Iterator[str]:
    """The last progress line of each fine-tuning log that has not ended."""
    for log in sorted(folder.glob("results/*/logs/finetune/**/*.log")):
        lines = log.read_text(errors="replace").splitlines()
        age = time.time() - log.stat().st_mtime
        if age > RECENT or not lines or " done in " in lines[-1]:
            continue
        progress = next((found[0] for line in reversed(lines) if (found := PROGRESS.search(line))), "starting")
        stopped = ", stopped with everything saved" if "stopped on request" in lines[-1] else ""
        yield f"{log.relative_to(folder)}: {progress}{stopped} ({timedelta(seconds=round(age))} ago)"
