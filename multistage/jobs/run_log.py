"""What Snakemake's own log of a run says: how many jobs are done, which are running, which have failed."""

import re
from dataclasses import dataclass, field
from pathlib import Path

# Snakemake copies the logs of failed jobs into its own, between two such lines.
SEPARATOR = "=" * 80
STARTED = re.compile(r"Job (\d+): (.+)")
FINISHED = re.compile(r"Finished jobid: (\d+) ")
DONE = re.compile(r"(\d+) of (\d+) steps \(\d+%\) done")
FAILED = re.compile(r"Error in (?:rule|group) (\S+?):?$")


@dataclass
class Failure:
    """A job that failed: its rule or group, its number in Snakemake, why, and where its logs are."""

    rule: str
    reason: str = ""
    job: str = ""
    logs: list[str] = field(default_factory=list)


@dataclass
class RunLog:
    """done, total: jobs. running: the message of each by its number. failures: in order, those of jobs that were retried
    included; retried: how many were."""

    done: int = 0
    total: int = 0
    running: dict[str, str] = field(default_factory=dict)
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
        stripped = line.strip()
        if stripped == SEPARATOR:
            in_copy = not in_copy
        elif in_copy:
            continue
        elif found := FAILED.fullmatch(stripped):
            failure = Failure(found[1])
            run.failures.append(failure)
        elif failure and line.startswith(" "):
            _read_failure(failure, stripped)
            run.running.pop(failure.job, None)
        elif found := STARTED.fullmatch(stripped):
            run.running[found[1]] = found[2]
        elif found := FINISHED.match(stripped):
            run.running.pop(found[1], None)
        elif found := DONE.fullmatch(stripped):
            run.done, run.total = int(found[1]), int(found[2])
        elif total := re.fullmatch(r"total +(\d+)", stripped):
            run.total = int(total[1])
        else:
            failure = None
            run.retried += stripped.startswith("Trying to restart job")
    return run


def _read_failure(failure: Failure, line: str) -> None:
    key, _, value = line.partition(": ")
    if key == "message":
        failure.reason = value.partition(" Detailed failure reason")[0].partition("For further")[0]
    elif key == "jobid":
        failure.job = value
    elif key in ("log", "logs"):
        failure.logs += value.partition(" (check log")[0].split(", ")
