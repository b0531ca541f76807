"""What the logs of a run say. Snakemake's own: how many jobs are done, which run where, which have failed. Those of jobs: what
they warn of, how far they are, and why they failed."""

import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import dropwhile
from pathlib import Path
from typing import Any

from multistage.jobs import slurm_commands
from multistage.jobs.errors import InputError
from multistage.jobs.slurm import jobs_of

# Snakemake copies the logs of failed jobs into its own, between two such lines.
SEPARATOR = re.compile(r"={10,}")
STARTED = re.compile(r"(?:local)?rule (\S+):")
SUBMITTED = re.compile(r"Job (\d+) has been submitted with SLURM jobid .*")
ARRAY = re.compile(r"Submitted array job with Snakemake IDs ([\d,]+) and SLURM job ID (\d+)\. .* task IDs are (\d+)-\d+\.")
FINISHED = re.compile(r"Finished jobid: (\d+) .*")
DONE = re.compile(r"(\d+) of (\d+) steps \(\d+%\) done")
TOTAL = re.compile(r"total +(\d+)")
# The jobs of a group that failed follow it, indented.
FAILED = re.compile(r"Error in rule (\S+):|    message: Error in group (\S+)")
# As jobs.log writes one; the warnings of libraries are for those who read the log.
WARNING = re.compile(r"^\S+ \S+ jobs WARNING: (.+)$", re.MULTILINE)
MOST = 20
# As jobs.log.Rate writes it.
PROGRESS = re.compile(r"[\d,]+ of [\d,]+ steps, [\d.,]+/s, .* left")


@dataclass
class Failure:
    """A submission that failed: its rule or group, why, and where its logs are."""

    rule: str
    reason: str = ""
    logs: list[str] = field(default_factory=list)


@dataclass
class RunLog:
    """done, total: jobs. running: the rule and wildcards of each by its number, those in Slurm excepted. arrays: those of each
    task of an array by its id in Slurm. failures: in order, those that were retried included; retried: how many were."""

    done: int = 0
    total: int = 0
    running: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    retried: int = 0


def messages(log: str | Path) -> list[str]:
    """What each job that failed in a run says itself: the error that its log ends with, or else the end of its logs.

    log: Snakemake's own.
    """
    said: dict[str, None] = {}
    for failure in read_run_log(Path(log).read_text(errors="replace")).failures:
        ends = {
            path: Path(path).read_text(errors="replace").splitlines()[-20:] for path in failure.logs if Path(path).is_file()
        }
        told = {path: "\n".join(dropwhile(lambda line: not line.startswith("ERROR: "), end)) for path, end in ends.items()}
        errors = [f"{text} (log: {path})" for path, text in told.items() if text]
        for text in errors or ["\n".join([f"{path} ends{_how(end)}:", *end]) for path, end in ends.items()]:
            said[f"{failure.rule}: {text}"] = None
    return list(said)


def _how(end: list[str]) -> str:
    """That the end of a log says nothing of an exception, if so."""
    raised = end and re.match(r"\w[\w.]*: ", end[-1])
    return "" if raised else " without an error (was the process killed, for example for its memory?)"


def read_run_log(text: str) -> RunLog:
    """Read what has been written of a log so far."""
    run, in_copy, failure, rule, job = RunLog(), False, None, "", ""
    for line in text.splitlines():
        if SEPARATOR.fullmatch(line):
            in_copy = not in_copy
        elif in_copy:
            continue
        elif found := FAILED.fullmatch(line):
            rule, failure = "", Failure(found[1] or found[2])
            run.failures.append(failure)
        elif found := STARTED.fullmatch(line):
            rule, failure = found[1], None
        elif found := SUBMITTED.fullmatch(line) or FINISHED.fullmatch(line):
            run.running.pop(found[1], None)
        elif found := ARRAY.fullmatch(line):
            for task, job in enumerate(found[1].split(","), int(found[3])):
                run.arrays[f"{found[2]}_{task}"] = run.running.pop(job, "")
        elif found := DONE.fullmatch(line):
            run.done, run.total = int(found[1]), int(found[2])
        elif found := TOTAL.fullmatch(line):
            run.total = int(found[1])
        elif line.startswith("Trying to restart job"):
            run.retried += 1
        elif not line or line.startswith("["):
            rule, failure = "", None
        else:
            key, _, value = line.strip().partition(": ")
            if rule and key == "jobid":
                run.running[job := value] = rule
            elif rule and key == "wildcards":
                run.running[job] += f" {value}"
            elif failure and key == "message" and value != "None":
                failure.reason = re.split(" Detailed failure reason| Reason: |For further", value)[0]
            elif failure and key == "jobid":
                run.running.pop(value, None)
            elif failure and key in ("log", "logs"):
                failure.logs += value.partition(" (check log")[0].split(", ")
    return run


def notices(of_config: Iterable[str], jobs: Iterable[Any]) -> list[str]:
    """What people should know of a run: what the config warns of, then each warning in the logs of its jobs once, with its log.

    jobs: of Snakemake, those of earlier runs included. A log that is missing has none. After `MOST` lines the last one says how
    many there are more.
    """
    places: dict[str, list[str]] = {}
    for log in sorted(str(log) for job in jobs for log in job.log):
        if Path(log).is_file():
            for warning in dict.fromkeys(WARNING.findall(Path(log).read_text(encoding="utf-8", errors="replace"))):
                places.setdefault(warning, []).append(log)
    logs = [log if not others else f"{log} and {len(others)} more" for log, *others in places.values()]
    found = [*of_config, *map("{} ({})".format, places, logs)]
    more = [f"and {len(found) - MOST} more: grep -r 'jobs WARNING' results"] if len(found) > MOST else []
    return found[:MOST] + more


def show_notices(of_config: Iterable[str], jobs: Iterable[Any]) -> None:
    """Say them on the screen."""
    if found := notices(of_config, jobs):
        print("Left out or cut, or looking wrong:", *found, sep="\n  ", file=sys.stderr)


def page(folder: Path) -> str:
    """The state of the newest run in a working folder, as text."""
    log = max((folder / ".snakemake" / "log").glob("*.snakemake.log"), default=None)
    if log is None:
        return f"{folder}: Snakemake has not run here."
    run = read_run_log(log.read_text(errors="replace"))
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
        text = log.read_text(errors="replace")
        if " done in " not in text:
            age = timedelta(seconds=round(time.time() - log.stat().st_mtime))
            yield f"{log.relative_to(folder)}: {(PROGRESS.findall(text) or ['starting'])[-1]} ({age} ago)"
