"""The part of a download that has come, kept beside its output until the rest is there, also when a job is killed."""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from multistage.jobs.files import replacing

logger = logging.getLogger("jobs")


@dataclass(frozen=True)
class Version:
    """What tells one version of a file from another.

    address: where it came from. validator: its strong ETag, or when it was last changed. total: its size in bytes.
    """

    address: str
    validator: str | None
    total: int | None


class Partial:
    """The files `.{name}.partial` and `.{name}.partial.json` beside `output`; no output of a rule, so Snakemake keeps them."""

    def __init__(self, output: Path) -> None:
        self.path = output.with_name(f".{output.name}.partial")
        self._note = output.with_name(f".{output.name}.partial.json")

    @property
    def size(self) -> int:
        """Bytes that have come."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def version(self) -> Version | None:
        """What the bytes that have come are part of; None where there are none, or it is not known."""
        if not self.size:
            return None
        try:
            return Version(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def begin(self, version: Version) -> None:
        """Start over with a version."""
        self.discard()
        self._note.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self._note) as (note,):
            note.write_text(json.dumps(asdict(version)), encoding="utf-8")
        self.path.touch()

    def discard(self) -> None:
        """Remove what has come."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self, output: Path) -> None:
        """Move the whole file into place."""
        os.replace(self.path, output)
        self._note.unlink(missing_ok=True)


@contextmanager
def alone(output: Path) -> Iterator[bool]:
    """Keep a second process from fetching the same output: it waits. Gives whether this one had to.

    A job runs on when the Snakemake that started it was killed, and the next Snakemake starts another.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(output.with_name(f".{output.name}.lock"))
    waited = False
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waited = True
        logger.info("%s: another process is fetching it; waiting for it to end", output)
        lock.acquire()
    try:
        yield waited
    finally:
        lock.release()
