"""sbatch, squeue and sacct as Snakemake's Slurm plugin (2.8.0) needs them; `install` puts them before Slurm's own on its PATH.

sbatch: a job has the name of its rules and wildcards, not of the run. While a limit on submissions or an outage stands against
it, it waits, for the plugin would count failed attempts.
squeue, sacct: asked how a run's jobs are, both say what accounting and the controller know. The plugin itself turns from the
first to the second now and then; Slurm's own then fails for ever on a cluster without accounting, or says "CANCELLED by 1000",
which the plugin does not understand. For a job that was preempted it waits, also where Slurm does not start such jobs again.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

# In Snakemake's working folder; beside the commands lie notes on jobs that Slurm has not taken.
PLACE = Path(".snakemake", "slurm-commands")
# Refusals that pass: a limit on the number of jobs, a controller that is away or full.
PASSING = re.compile(r"SubmitJob\w*Limit|Unable to contact slurm controller|Resource temporarily unavailable")
PAUSE = 10.0
# The plugin waits 60 s for an answer.
PATIENCE = 25.0
# Accounting keeps 255 bytes of a name.
LONGEST_NAME = 200


def install(folder: str | Path) -> None:
    """Write the commands below a working folder, and let this process and what it starts find them first."""
    place = Path(folder) / PLACE
    place.mkdir(parents=True, exist_ok=True)
    for note in place.glob("*.refused"):
        note.unlink()
    path = os.environ["PATH"]
    for name in ("sbatch", "squeue", "sacct"):
        call = f"{shlex.quote(sys.executable)} -m {__name__} {os.getpid()} {name}"
        (place / name).write_text(f'#!/bin/sh\nPATH={shlex.quote(path)} exec {call} "$@"\n')
        (place / name).chmod(0o755)
    os.environ["PATH"] = f"{place}{os.pathsep}{path}"


def refused(folder: Path) -> list[str]:
    """The jobs of a folder that Slurm has not taken, or not yet, and why."""
    return [note.read_text() for note in sorted((folder / PLACE).glob("*.refused"))]


def main(snakemake: str, command: str, *given: str) -> int:
    """Do what Snakemake, a process id, has asked of a command. Returns the exit status."""
    arguments = list(given)
    if command == "sbatch":
        ended = _submit(arguments, snakemake)
    elif "--name" in arguments:
        ended = _states()
    else:
        ended = run(command, *arguments, timeout=PATIENCE)
        if command == "sacct":  # asked for accounts and reasons, a cluster without accounting knows none, and has not failed
            ended.returncode = 0
    sys.stdout.write(ended.stdout)
    sys.stderr.write(ended.stderr)
    return ended.returncode


def job_name(command: str) -> str:
    """rule+rule:wildcard,wildcard of what Snakemake's command makes; an array, whose jobs share a name, has its rule's."""
    found = re.search(r"--target-jobs (.+?) --", command)
    targets = [target.partition(":") for target in sorted(shlex.split(found[1]))] if found else []
    rules = dict.fromkeys(rule for rule, _, _ in targets)
    values = [] if " --array=" in command else [value for *_, pairs in targets for value in re.findall(r"=([^,]*)", pairs)]
    return ":".join(filter(None, ["+".join(rules), ",".join(dict.fromkeys(values))]))[:LONGEST_NAME]


def _submit(arguments: list[str], snakemake: str) -> subprocess.CompletedProcess[str]:
    """Submit a job once Slurm takes it; what Snakemake no longer waits for is not submitted."""
    script = sys.stdin.read()
    name = job_name(" ".join([*arguments, script]))
    if name:
        arguments[arguments.index("--job-name") + 1] = name
    note = PLACE / f"{name.replace('/', '_')}.refused"
    while (ended := run("sbatch", *arguments, script=script)).returncode:
        note.write_text(f"{name}: {'; '.join(line.rpartition(': ')[2] for line in ended.stderr.splitlines())}")
        if not PASSING.search(ended.stderr):
            return ended
        time.sleep(PAUSE)
        if not Path("/proc", snakemake).exists():
            return ended
    note.unlink(missing_ok=True)
    return ended


def _states() -> subprocess.CompletedProcess[str]:
    """A line "id|STATE" for each job of the user's, the controller's last: they count where both know a job."""
    known = ["sacct", "--noheader", "--parsable2", "--allocations", "--starttime=now-2days", "--format=JobID,State"]
    queued = ["squeue", "--noheader", "--me", "--array", "--states=all", "--format=%i|%T"]
    answers = [run(*command, timeout=PATIENCE) for command in (known, queued)]
    lines = "".join(answer.stdout for answer in answers if answer.returncode == 0)
    lines = re.sub(" by .*", "", lines)
    if answers[-1].returncode == 0:  # the controller would say if the job waited or ran again
        lines = lines.replace("PREEMPTED", "CANCELLED")
    return subprocess.CompletedProcess([], int(all(answer.returncode for answer in answers)), lines, answers[-1].stderr)


def run(*command: str, script: str | None = None, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    """Slurm's own command; one that is not there or says nothing for long has failed."""
    try:
        return subprocess.run(command, input=script, capture_output=True, text=True, timeout=timeout)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess([], 1, "", str(error))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main(*sys.argv[1:]))
