"""What stands before a run on a Slurm cluster: one that can be watched, and no jobs that nobody waits for any more."""

import re
import time
from pathlib import Path

from multistage.jobs import slurm_commands
from multistage.jobs.errors import InputError
from multistage.jobs.log import logger

# Slurm gives a cancelled job KillWait (30 s by default) to save and stop.
PATIENCE = 180.0
# Seconds between two of the plugin's looks at its jobs: 180, and as long as an answer may take.
LOOKS = 240


def prepare(folder: str | Path) -> None:
    """Called by the Snakemake that holds a folder's lock, before it submits anything. Raises InputError (see below)."""
    require_memory_of_jobs()
    cancel_leftover_jobs(folder)
    slurm_commands.install(folder)


def require_memory_of_jobs() -> None:
    """Raise InputError for a cluster that forgets a job before Snakemake sees that it has ended, and waits for it for ever."""
    age = re.search(r"^MinJobAge\s*=\s*(\d+)", ask("scontrol", "show", "config"), re.M)
    if age is None or not 0 < int(age[1]) < LOOKS:  # with 0 none is forgotten
        return
    try:
        ask("sacct", "--allocations", "--noheader")
    except InputError as error:
        raise InputError(
            f"This cluster forgets a job {age[1]} s after its end (MinJobAge in `scontrol show config`), and has no accounting "
            f"that remembers it ({error}). Snakemake would wait for ever for one that it has not seen end. Ask for accounting, "
            f"or for MinJobAge={LOOKS}; or run `snakemake --cores N` in one job."
        ) from error


def cancel_leftover_jobs(folder: str | Path) -> None:
    """Cancel the jobs that a killed Snakemake has left in Slurm, and wait until they have ended.

    Leftover jobs would write where the new ones write. Fine-tuning saves its checkpoint when it is cancelled. Raises InputError
    when Slurm does not answer or jobs do not end within `PATIENCE` seconds.
    """
    if left := [job for job, *_ in jobs_of(folder)]:
        ids = " ".join(left)
        logger.warning(f"Jobs of an earlier run are running in {folder}: {ids}. They are cancelled; fine-tuning saves first.")
        ask("scancel", *left)
    deadline = time.monotonic() + PATIENCE
    while left and (left := [job for job, *_ in jobs_of(folder)]):
        if time.monotonic() > deadline:
            raise InputError(f"{folder}: the jobs {' '.join(left)} of an earlier run do not end; see `scontrol show job`.")
        time.sleep(1)


def jobs_of(folder: str | Path) -> list[list[str]]:
    """The user's jobs that Snakemake has submitted from a folder and that have not ended.

    Of each: id, state, node or why it waits, time, name. Raises InputError when Slurm does not answer.
    """
    answer = ask("squeue", "--me", "--array", "--noheader", "--sort=T,i", "--format=%i|%T|%R|%M|%j|%Z|%k")
    rows = [line.split("|", 6) for line in answer.splitlines()]
    return [row[:5] for row in rows if Path(row[5]) == Path(folder) and row[6].startswith("rule_")]


def ask(*command: str) -> str:
    """What a command of Slurm's prints. Raises InputError with what it says when it fails or does not answer."""
    ended = slurm_commands.run(*command, timeout=60)
    if ended.returncode:
        raise InputError(f"{' '.join(command)}: {ended.stderr.strip()}")
    return ended.stdout
