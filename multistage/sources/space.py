"""Room on a disk, and sizes as progress shows them."""

import shutil
from pathlib import Path

from multistage.jobs.errors import InputError

MEGABYTE = 1_000_000


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise InputError unless the disk of a folder has room for so many bytes more."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{what}: {needed:,} bytes more are needed in {folder}, and {free:,} are free. Make room and run again."
        )


def megabytes(size: int) -> int:
    """Megabytes, rounded up."""
    return -(-size // MEGABYTE)
