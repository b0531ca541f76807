"""When the jobs of an experiment on MS MARCO would run on a cluster, on paper.

python -m benchmarks.grid_schedule configs/ecir2025.yaml --gpus 8 --processes 1

The jobs and what they wait for are those of Snakemake's own graph; how long they take is `grid_cost.py`'s work divided by
its rates, alike for all jobs of a rule but fine-tuning, whose stages differ. A stage on several GPUs is taken to be as many
times as fast. Cores are never short; GPUs are given to jobs in the order in which they become ready (as Slurm's queue does) or
to the one with the longest chain of jobs after it.
"""

import argparse
import heapq
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.grid_cost import REPOSITORY, load, planned_jobs, rates, stage_pairs, work

NODE = re.compile(r'\s*(\d+)\[label = "([^"]+)"')
EDGE = re.compile(r"\s*(\d+) -> (\d+)")


@dataclass
class Job:
    """hours: it takes. gpus: it holds. needs, feeds: jobs before and after it. chain: hours from its start to the end."""

    name: str
    hours: float = 0.0
    gpus: int = 0
    needs: set[int] = field(default_factory=set)
    feeds: set[int] = field(default_factory=set)
    chain: float = 0.0


def graph(paths: list[str]) -> dict[int, Job]:
    """The jobs of Snakemake's graph."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), "--directory", folder]
        configs = [str(Path(path).resolve()) for path in paths]
        ended = subprocess.run([*command, "--dag", "dot", "--configfile", *configs], capture_output=True, text=True, check=True)
    jobs: dict[int, Job] = {}
    for line in ended.stdout.splitlines():
        if node := NODE.match(line):
            jobs[int(node[1])] = Job(node[2])
        elif edge := EDGE.match(line):
            before, after = int(edge[1]), int(edge[2])
            jobs[after].needs.add(before)
            jobs[before].feeds.add(after)
    return jobs


def time_jobs(
    jobs: dict[int, Job], config: dict[str, Any], paths: list[str], *, tflops: float, processes: int, overhead: float
) -> None:
    """Fill in hours, GPUs and chains. overhead: hours that each job loses to the scheduler."""
    counts = planned_jobs(paths)
    amounts, known = work(config, counts), rates(tflops, padding=0.0)
    for job in jobs.values():
        rule, _, wildcards = job.name.partition("\\n")
        if rule == "finetune":
            recipe = re.search(r"recipe: ([\w-]+)", wildcards)
            assert recipe is not None, job.name
            job.hours, job.gpus = stage_pairs(config, recipe[1]) / known[rule].per_second / 3600 / processes, processes
        elif rule in amounts:
            job.hours = amounts[rule] / known[rule].per_second / 3600 / counts[rule]
            job.gpus = int(known[rule].device == "GPU")
        job.hours += overhead if rule in counts else 0
    ordered: list[int] = []
    waiting = {number: len(job.feeds) for number, job in jobs.items()}
    ready = [number for number, left in waiting.items() if not left]
    while ready:
        number = ready.pop()
        ordered.append(number)
        for before in jobs[number].needs:
            waiting[before] -= 1
            if not waiting[before]:
                ready.append(before)
    for number in ordered:
        job = jobs[number]
        job.chain = job.hours + max((jobs[after].chain for after in job.feeds), default=0.0)


def schedule(jobs: dict[int, Job], gpus: int, longest_first: bool) -> tuple[float, list[tuple[float, str]]]:
    """Hours until all are done, and the starts of fine-tuning stages in order."""
    waiting = {number: len(job.needs) for number, job in jobs.items()}
    queue = [number for number, left in waiting.items() if not left]
    running: list[tuple[float, int]] = []
    now, free, starts = 0.0, gpus, []
    while queue or running:
        if longest_first:
            queue.sort(key=lambda number: -jobs[number].chain)
        for number in list(queue):
            job = jobs[number]
            if job.gpus <= free:
                queue.remove(number)
                free -= job.gpus
                heapq.heappush(running, (now + job.hours, number))
                if job.name.startswith("finetune"):
                    starts.append((now, job.name.partition("recipe: ")[2]))
        now, number = heapq.heappop(running)
        free += jobs[number].gpus
        for after in sorted(jobs[number].feeds):
            waiting[after] -= 1
            if not waiting[after]:
                queue.append(after)
    return now, starts


def main() -> None:
    """Print a table row for each order, and when the stages start."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("configs", nargs="+")
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--processes", type=int, default=1, help="GPUs of a fine-tuning stage (training.processes)")
    parser.add_argument("--tflops", type=float, default=400, help="what a GPU gets out of its bfloat16 units")
    parser.add_argument("--overhead", type=float, default=60, help="seconds that a job loses to the scheduler")
    options = parser.parse_args()
    config, jobs = load(options.configs), graph(options.configs)
    time_jobs(
        jobs,
        config,
        options.configs,
        tflops=options.tflops,
        processes=options.processes,
        overhead=options.overhead / 3600,
    )
    busy = sum(job.hours * job.gpus for job in jobs.values())
    print(f"critical path {max(job.chain for job in jobs.values()):.1f} h, {busy:.0f} GPU-hours, {len(jobs)} jobs")
    for longest_first in (False, True):
        end, starts = schedule(jobs, options.gpus, longest_first)
        idle = 1 - busy / (end * options.gpus)
        print(f"\n{'longest first' if longest_first else 'as they come'}: {end:.1f} h, GPUs idle {idle:.0%}")
        print("stages start at (h):", ", ".join(f"{name} {when:.1f}" for when, name in starts))


if __name__ == "__main__":
    main()
