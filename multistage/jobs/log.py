"""A job's log: messages, progress with rate and time left, and at the end seconds and peak memory."""

import logging
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from multistage.jobs.errors import RunAgain, one_message

SECONDS_BETWEEN_LINES = 5.0
logger = logging.getLogger("jobs")


@contextmanager
def job_log(path: str) -> Iterator[None]:
    """Send all output of the job, that of C and Java code included, to a log file; it ends as `log_to_stderr` says."""
    # Progress bars of libraries: one line in ten seconds, not ten a second.
    os.environ.setdefault("TQDM_MININTERVAL", "10")
    with log_to_stderr():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            for descriptor in (sys.stdout.fileno(), sys.stderr.fileno()):
                os.dup2(stream.fileno(), descriptor)
        yield


@contextmanager
def log_to_stderr() -> Iterator[None]:
    """Log to standard error, and end with time and peak memory, or as `errors.one_message` says.

    A warning of the logger "jobs" says what was dropped, repaired or cut, or looks wrong: people see it as one of the run's
    notices (`jobs.run_log`).
    """
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s: %(message)s", force=True
    )
    for chatty in ("httpx", "httpx2", "sentence_transformers", "transformers", "datasets"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    start = time.perf_counter()
    try:
        with one_message():
            yield
    except RunAgain as request:
        logger.info(f"stopped on request, with everything saved: run again to resume. {request}")
        sys.exit(os.EX_TEMPFAIL)
    logger.info(f"done in {time.perf_counter() - start:.1f} s, peak memory {peak_memory_mb():.0f} MB")


def peak_memory_mb() -> float:
    """The largest resident size that this process or one of its children has had, in megabytes."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024


class Rate:
    """Counts work and logs, every few seconds at most, how much is done, how fast, and how long the rest will take.

    total: units of work in all. unit: what is counted, in the plural. done: units that an earlier process has done.
    """

    def __init__(self, total: int, unit: str, done: int = 0) -> None:
        self.total, self.unit, self.done, self.before = total, unit, done, done
        self.start = self.last_line = time.perf_counter()

    def advance(self, count: int, note: str = "") -> None:
        """Record `count` more units; log a line if the last one is a few seconds old or the work is complete."""
        self.done += count
        now = time.perf_counter()
        if now - self.last_line < SECONDS_BETWEEN_LINES and self.done < self.total:
            return
        self.last_line = now
        rate = (self.done - self.before) / max(now - self.start, 1e-9)
        left = timedelta(seconds=round((self.total - self.done) / max(rate, 1e-9)))
        logger.info(f"{self.done:,} of {self.total:,} {self.unit}, {rate:.1f}/s, {left} left{note and f', {note}'}")
