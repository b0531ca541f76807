"""The progress of a run as text: what runs where, how far each fine-tuning stage is, and what has failed."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from multistage.jobs.run_log import newest_log, read_run_log

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
    parts = [[f"{run.done} of {run.total} jobs done ({log})"]]
    submitted = list(_in_slurm(folder))
    parts.append([f"in Slurm ({len(submitted)})", *submitted] if submitted else [])
    parts.append([f"running ({len(run.running)})", *run.running.values()] if run.running else [])
    stages = list(_stages(folder))
    parts.append(["fine-tuning", *stages] if stages else [])
    failed = [f"{failure.rule}: {failure.reason} log: {', '.join(failure.logs)}" for failure in run.failures]
    parts.append([f"failed ({len(failed)}), tried again ({run.retried})", *failed] if failed else [])
    return "\n\n".join("\n  ".join(part) for part in parts if part)


def _in_slurm(folder: Path) -> Iterator[str]:
    """The jobs of this folder that Slurm has: id, state, node or why it waits, time, rule and wildcards."""
    if shutil.which("squeue") is None:
        return
    command = ["squeue", "--me", "--noheader", "--sort=T,i", "--format=%i|%T|%R|%M|%Z|%k"]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        yield ended.stderr.strip().rpartition("\n")[2]
    for line in ended.stdout.splitlines():
        job, state, where, elapsed, place, comment = line.split("|", 5)
        if Path(place) == folder and comment.startswith("rule_"):
            what = comment.removeprefix("rule_").replace("_wildcards_", " ")
            yield f"{job:>8} {state.lower():10} {where:14} {elapsed:>10}  {what}"


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
