"""What Slurm costs: the tests' slice on this machine, then on a cluster of as many cores.

    PYTHONPATH=tests/support python -m benchmarks.slurm_overhead

The cluster is the tests' (root and Debian's Slurm packages needed), with as many nodes of one core as the machine has cores,
and one second before the first look at the queue.
"""

import os
import re
import shutil
import tempfile
import time
from pathlib import Path

import yaml

from slurm_cluster import Cluster, obstacle
from workflow_runs import SLICE, SlurmRun, snakemake, succeed

REPOSITORY = Path(__file__).resolve().parent.parent

DONE = re.compile(r" done in ([\d.]+) s")
ELAPSED = re.compile(r"^Elapsed time: (\d+):(\d+):([\d.]+)", re.M)


def prepared(folder: Path) -> Path:
    """A folder with the packages that the slice reads, which the tests have fetched."""
    shutil.copytree(REPOSITORY / "results" / "sources", folder / "results" / "sources")
    return folder


def work_seconds(folder: Path) -> float:
    """What the jobs' scripts have taken, by their logs."""
    return sum(float(found[1]) for log in folder.glob("results/**/logs/**/*.log") for found in DONE.finditer(log.read_text()))


def allocation_seconds(folder: Path) -> list[float]:
    """What each Slurm job has taken, by the outer Snakemake's log in it."""
    logs = [ELAPSED.findall(log.read_text())[-1] for log in (folder / ".snakemake" / "slurm_logs").rglob("*.log")]
    return [3600 * int(hours) + 60 * int(minutes) + float(seconds) for hours, minutes, seconds in logs]


def main() -> None:
    """Print wall time and the scripts' seconds of both, and what an allocation takes beyond its scripts."""
    if reason := obstacle():
        raise SystemExit(reason)
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="slurm-") as name:
        folder = Path(name)
        config = folder / "recipe.yaml"
        config.write_text(yaml.safe_dump({"grid": {"recipes": ["cl-kd"]}}))
        local, remote = prepared(folder / "local"), prepared(folder / "slurm")
        start = time.perf_counter()
        succeed(snakemake(local, "--cores", cores, configs=[SLICE, config]))
        print(f"local: {time.perf_counter() - start:.0f} s, {work_seconds(local):.0f} s in scripts", flush=True)
        cluster = Cluster(folder / "cluster", nodes=cores, cpus=1)
        try:
            cluster.start()
            start = time.perf_counter()
            running = SlurmRun(cluster, remote, configs=[SLICE, config])
            running.succeed(timeout=3600)
            seconds = time.perf_counter() - start
        finally:
            cluster.stop()
        jobs, scripts = allocation_seconds(remote), work_seconds(remote)
        print(f"Slurm: {seconds:.0f} s, {scripts:.0f} s in scripts, {len(jobs)} submissions of {sum(jobs):.0f} s in all: "
              f"{(sum(jobs) - scripts) / len(jobs):.1f} s each beyond the scripts")  # fmt: skip


if __name__ == "__main__":
    main()
