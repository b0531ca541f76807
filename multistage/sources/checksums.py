"""What a download must be, and the ledger that holds later downloads to the first where nothing is known beforehand."""

import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing

logger = logging.getLogger("jobs")
BLOCK = 1 << 20
COLUMNS = ["source", "file", "sha256", "bytes"]


@dataclass(frozen=True)
class Expected:
    """What is known of a file: SHA-256 and MD5 in hexadecimal, size in bytes; None where it is not.

    said_by: who says so. remedy: what to do when the file was meant to change.
    """

    sha256: str | None = None
    md5: str | None = None
    bytes: int | None = None
    said_by: str = "the config"
    remedy: str = "correct the config"

    @property
    def has_checksum(self) -> bool:
        """Whether a checksum is known."""
        return self.sha256 is not None or self.md5 is not None


@dataclass(frozen=True)
class Found:
    """What a file is: its SHA-256 and its size in bytes."""

    sha256: str
    bytes: int


def check_file(path: str | Path, expected: Expected, what: str) -> Found:
    """Compare a file with what is known of it. Raises InputError, which speaks of `what`, when it is something else."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with open(path, "rb") as stream:
        while block := stream.read(BLOCK):
            size += len(block)
            sha256.update(block)
            if expected.md5 is not None:
                md5.update(block)
    comparisons = [
        ("size in bytes", str(size), expected.bytes and str(expected.bytes)),
        ("SHA-256", sha256.hexdigest(), expected.sha256),
        ("MD5", md5.hexdigest(), expected.md5),
    ]
    for name, found, wanted in comparisons:
        if wanted is not None and found != wanted:
            raise InputError(
                f"{what}: the {name} is {found}, expected {wanted} according to {expected.said_by}. The download was damaged, "
                f"or the file has changed where it comes from; if that was meant to be, {expected.remedy}. It was not kept."
            )
    return Found(sha256.hexdigest(), size)


def recorded(ledger: str | Path, source: str, file: str) -> Expected | None:
    """What the ledger has recorded of a source's file, or None. Raises InputError for a line that cannot be read."""
    found = _read(Path(ledger)).get((source, file))
    if found is None:
        return None
    remedy = f"delete the line of {source} from {ledger}"
    return Expected(sha256=found.sha256, bytes=found.bytes, said_by=f"{ledger} (the first download)", remedy=remedy)


def record(ledger: str | Path, source: str, file: str, found: Found) -> None:
    """Add a source's file to the ledger, a TSV file sorted by source; several jobs may do so at once."""
    ledger = Path(ledger)
    ledger.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(ledger.with_name(f".{ledger.name}.lock")):
        entries = _read(ledger) | {(source, file): found}
        lines = [COLUMNS, *([*key, entry.sha256, str(entry.bytes)] for key, entry in sorted(entries.items()))]
        with replacing(ledger) as (partial,):
            partial.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
    logger.info("%s: no checksum is known; its SHA-256 is recorded in %s, and later downloads are held to it", source, ledger)


def _read(ledger: Path) -> dict[tuple[str, str], Found]:
    if not ledger.is_file():
        return {}
    entries = {}
    for number, line in enumerate(ledger.read_text(encoding="utf-8").splitlines(), 1):
        fields = line.split("\t")
        if number == 1 and fields == COLUMNS:
            continue
        if (
            len(fields) != len(COLUMNS)
            or not re.fullmatch(r"[0-9a-f]{64}", fields[2])
            or not re.fullmatch(r"[0-9]+", fields[3])
        ):
            raise InputError(f"{ledger}, line {number}: expected {', '.join(COLUMNS)}, separated by tabs, found {line!r}.")
        entries[fields[0], fields[1]] = Found(fields[2], int(fields[3]))
    return entries
