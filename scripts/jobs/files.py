"""Files that are whole or absent: everything is written under a temporary name and moved into place."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".partial"


@contextmanager
def replacing(*targets: str | Path) -> Iterator[list[Path]]:
    """Temporary names for `targets`, moved into place together when the block ends, removed when it raises.

    A temporary name lies beside its target, so that the move is a rename, and keeps its suffix. The caller may make a
    file or a folder there. All targets must have been written; the last one is moved last.
    """
    final = [Path(target) for target in targets]
    partial = [path.with_name(f".{path.stem}{TEMPORARY}{path.suffix}") for path in final]
    try:
        for path in partial:
            path.parent.mkdir(parents=True, exist_ok=True)
            remove(path)
        yield partial
        for source, target in zip(partial, final, strict=True):
            if target.is_dir():
                remove(target)
            os.replace(source, target)
    finally:
        for path in partial:
            remove(path)


@contextmanager
def scratch(folder: str | Path) -> Iterator[Path]:
    """An empty folder inside `folder`, removed when the block ends; what a killed job left there is removed first."""
    path = Path(folder) / TEMPORARY
    remove(path)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
