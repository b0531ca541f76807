"""Real Snakemake on the repository's workflow."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from repository import REPOSITORY

SLICE = REPOSITORY / "tests" / "support" / "slice.yaml"


def snakemake_command(folder, *arguments):
    """Snakemake with `folder` as working directory."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", REPOSITORY / "Snakefile", "--directory", folder]
    command += ["--cores", "2", "--workflow-profile", REPOSITORY / "profiles" / "default", *arguments]
    return [str(part) for part in command]


def snakemake(folder, *arguments, configs=(SLICE,), environment=None, timeout=1200):
    """Run it to its end, with config files merged over the default one."""
    command = snakemake_command(folder, *arguments)
    if configs:
        command += ["--configfile", *map(str, configs)]
    return subprocess.run(command, env=os.environ | (environment or {}), capture_output=True, text=True, timeout=timeout)


class SlurmRun:
    """Snakemake at work on a cluster, with the profile for Slurm and the tests' timers laid over it."""

    def __init__(self, cluster, folder, *arguments, configs=(SLICE,), environment=None):
        command = [sys.executable, "tests/support/impatient_snakemake.py", "--profile", "slurm"]
        command += ["--workflow-profile", "tests/support/slurm-profile"]
        command += ["--directory", folder, "--configfile", *configs, *arguments]
        self.said = folder / f"snakemake-{time.monotonic_ns()}.log"
        folder.mkdir(parents=True, exist_ok=True)
        with open(self.said, "w") as stream:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                cwd=REPOSITORY,
                env=cluster.environment | (environment or {}),
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )

    def text(self):
        """What it has said so far."""
        return self.said.read_text()

    def kill(self):
        """kill -9 it and what it has started here; its jobs are the cluster's."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def succeed(self, timeout=600):
        """Wait for its end and fail with what it said, unless it went well."""
        try:
            code = self.process.wait(timeout)
        finally:
            if self.process.poll() is None:
                self.kill()
        assert code == 0, self.text()[-8000:]


def succeed(ended):
    """Fail with what Snakemake said, and the logs that it names, unless it went well."""
    if ended.returncode == 0:
        return
    logs = re.findall(r"^ +log: (\S+) \(check", ended.stdout + ended.stderr, re.M)
    texts = [f"{log}:\n{Path(log).read_text()[-3000:]}" for log in logs if Path(log).is_file()]
    raise AssertionError("\n".join([ended.stdout[-3000:], ended.stderr[-6000:], *texts]))


def jobs(ended):
    """How many jobs of each rule a dry-run plans."""
    succeed(ended)
    stats = re.search(r"Job stats:\njob +count\n[- ]+\n(.*?)\n\n", ended.stdout + ended.stderr, re.S)
    if stats is None:
        return {}
    counts = {name: int(count) for name, count in (line.split() for line in stats[1].splitlines())}
    return {name: count for name, count in counts.items() if name not in ("all", "total")}
