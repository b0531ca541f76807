"""Real Snakemake on the repository's workflow."""

import os
import re
import subprocess
import sys
from pathlib import Path

from conftest import REPOSITORY


def snakemake_command(folder, *arguments):
    """Snakemake with `folder` as working directory."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", REPOSITORY / "Snakefile", "--directory", folder]
    command += ["--cores", "2", "--workflow-profile", REPOSITORY / "profiles" / "default", *arguments]
    return [str(part) for part in command]


def snakemake(folder, *arguments, configs=(REPOSITORY / "tests" / "slice.yaml",), environment=None, timeout=1200):
    """Run it to its end, with config files merged over the default one."""
    command = snakemake_command(folder, *arguments)
    if configs:
        command += ["--configfile", *map(str, configs)]
    return subprocess.run(command, env=os.environ | (environment or {}), capture_output=True, text=True, timeout=timeout)


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
