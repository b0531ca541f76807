"""What Snakemake's own log of a run says: how many jobs are done, which run here, which have failed."""

import re
from dataclasses import dataclass, field
from pathlib import Path

# Snakemake copies the logs of failed jobs into its own, between two such lines.
SEPARATOR = re.compile(r"={10,}")
STARTED = re.compile(r"Job (\d+): (.+)")
SUBMITTED = re.compile(r"Job (\d+) has been submitted with SLURM jobid .*")
ARRAY = re.compile(r"Submitted array job with Snakemake IDs ([\d,]+) and SLURM job ID (\d+)\. .* task IDs are (\d+)-\d+\.")
FINISHED = re.compile(r"Finished jobid: (\d+) .*")
DONE = re.compile(r"(\d+) of (\d+) steps \(\d+%\) done")
TOTAL = re.compile(r"total +(\d+)")
# The jobs of a group that failed follow it, indented.
FAILED = re.compile(r"Error in rule (\S+):|    message: Error in group (\S+)")


@dataclass
class Failure:
    """A submission that failed: its rule or group, why, and where its logs are."""

    rule: str
    reason: str = ""
    logs: list[str] = field(default_factory=list)


@dataclass
class RunLog:
    """done, total: jobs. running: the message of each by its number, those in Slurm excepted. arrays: the message of each task
    of an array by its id in Slurm. failures: in order, those that were retried included; retried: how many were."""

    done: int = 0
    total: int = 0
    running: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    retried: int = 0


def newest_log(folder: Path) -> Path | None:
    """Snakemake's log of the newest run in a folder."""
    return max((folder / ".snakemake" / "log").glob("*.snakemake.log"), default=None)


def messages(log: str | Path) -> list[str]:
    """What each job that failed in a run says itself: the error that its log ends with, or else the end of its logs.

    log: Snakemake's own.
    """
    said: dict[str, None] = {}
    for failure in read_run_log(Path(log).read_text()).failures:
        ends = {
            path: Path(path).read_text(errors="replace").splitlines()[-20:] for path in failure.logs if Path(path).is_file()
        }
        errors = [f"{end[-1]} (log: {path})" for path, end in ends.items() if end and end[-1].startswith("ERROR: ")]
        for text in errors or ["\n".join([f"{path} ends:", *end]) for path, end in ends.items()]:
            said[f"{failure.rule}: {text}"] = None
    return list(said)


def read_run_log(text: str) -> RunLog:
    """Read what has been written of a log so far."""
    run, in_copy, failure = RunLog(), False, None
    for line in text.splitlines():
        if SEPARATOR.fullmatch(line):
            in_copy = not in_copy
        elif in_copy:
            continue
        elif found := FAILED.fullmatch(line):
            failure = Failure(found[1] or found[2])
            run.failures.append(failure)
        elif found := STARTED.fullmatch(line):
            run.running[found[1]] = found[2]
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
            failure = None
        elif failure:
            key, _, value = line.strip().partition(": ")
            if key == "message":
                failure.reason = re.split(" Detailed failure reason| Reason: |For further", value)[0]
            elif key == "jobid":
                run.running.pop(value, None)
            elif key in ("log", "logs"):
                failure.logs += value.partition(" (check log")[0].split(", ")
    return run
