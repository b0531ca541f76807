"""Notices: what jobs dropped, repaired or cut, and what looks wrong. They are the warnings in the jobs' logs."""

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# As jobs.log writes one; the warnings of libraries are for those who read the log.
WARNING = re.compile(r"^\S+ \S+ jobs WARNING: (.+)$", re.MULTILINE)
MOST = 20


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
    found = [*of_config, *(f"{warning} ({_named(*logs)})" for warning, logs in places.items())]
    more = [f"and {len(found) - MOST} more: grep -r 'jobs WARNING' results"] if len(found) > MOST else []
    return found[:MOST] + more


def show_notices(of_config: Iterable[str], jobs: Iterable[Any]) -> None:
    """Say them on the screen."""
    if found := notices(of_config, jobs):
        print("Left out or cut, or looking wrong:", *found, sep="\n  ", file=sys.stderr)


def _named(log: str, *others: str) -> str:
    return f"{log} and {len(others)} more" if others else log
