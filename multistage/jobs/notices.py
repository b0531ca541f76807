"""Notices: what jobs dropped, repaired or cut, and what looks wrong. They are the warnings in the jobs' logs."""

import re
from collections.abc import Iterable
from pathlib import Path

# As jobs.log writes one; the warnings of libraries are for those who read the log.
WARNING = re.compile(r"^\S+ \S+ jobs WARNING: (.+)$", re.MULTILINE)
MOST = 20


def notices(of_config: Iterable[str], logs: Iterable[str]) -> list[str]:
    """What people should know of a run: what the config warns of, then each warning of the logs once, with its log.

    A log that is missing has none. After `MOST` lines the last one says how many there are more.
    """
    places: dict[str, list[str]] = {}
    for log in sorted(logs):
        if Path(log).is_file():
            for warning in dict.fromkeys(WARNING.findall(Path(log).read_text(encoding="utf-8", errors="replace"))):
                places.setdefault(warning, []).append(log)
    found = [*of_config, *(f"{warning} ({_named(*logs)})" for warning, logs in places.items())]
    more = [f"and {len(found) - MOST} more: grep -r 'jobs WARNING' results"] if len(found) > MOST else []
    return found[:MOST] + more


def _named(log: str, *others: str) -> str:
    return f"{log} and {len(others)} more" if others else log
