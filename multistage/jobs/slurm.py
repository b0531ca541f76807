"""Slurm jobs of a folder that nobody waits for any more."""

import logging
import os
import subprocess
import time
from pathlib import Path

from multistage.jobs.errors import InputError

logger = logging.getLogger("jobs")
# Slurm gives a cancelled job KillWait (30 s by default) to save and stop.
PATIENCE = 180.0


def cancel_leftover_jobs(folder: str | Path, patience: float = PATIENCE) -> list[str]:
    """Cancel the jobs that a killed Snakemake has left in Slurm, and wait until they have ended. Returns their ids.

    Called by the Snakemake that holds the folder's lock, before it submits anything: leftover jobs would write where the new
    ones write. Fine-tuning saves its checkpoint when it is cancelled. Raises InputError when Slurm does not answer or jobs do
    not end within `patience` seconds.
    """
    left = _jobs(folder)
    if not left:
        return []
    logger.warning(
        "Jobs of an earlier run are running in %s: %s. They are cancelled; fine-tuning saves first.",
        folder,
        " ".join(left),
    )
    _ask("scancel", *left)
    deadline = time.monotonic() + patience
    while remaining := _jobs(folder):
        if time.monotonic() > deadline:
            raise InputError(f"{folder}: the jobs {' '.join(remaining)} of an earlier run do not end; see `scontrol show job`.")
        time.sleep(1)
    return left


def _jobs(folder: str | Path) -> list[str]:
    """Ids of the user's jobs that Snakemake has submitted from a folder and that have not ended."""
    lines = _ask("squeue", "--me", "--noheader", "--format=%i|%Z|%k").splitlines()
    rows = [line.split("|", 2) for line in lines]
    own = os.environ.get("SLURM_JOB_ID")
    return [job for job, place, comment in rows if Path(place) == Path(folder) and comment.startswith("rule_") and job != own]


def _ask(*command: str) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if ended.returncode:
        raise InputError(f"{command[0]}: {ended.stderr.strip()}; cannot tell whether an earlier run still has jobs here.")
    return ended.stdout
