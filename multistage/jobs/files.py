"""Files that are whole or absent: everything is written under a temporary name and moved into place."""

import glob
import hashlib
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".partial"


@contextmanager
def replacing(*targets: str | Path) -> Iterator[list[Path]]:
    """Temporary names for `targets`, moved into place together when the block ends, removed when it raises.

    A temporary name is in the folder of its target, so that the move is a rename, and keeps its suffix. The caller may create
    a file or a folder there. All targets must have been written; the last one is moved last. Modes are those of the umask.

    The names are this process's own. Those that other processes left are removed: if two jobs write one target (the first on a
    node that the scheduler has lost), the later one wins and the other fails; their bytes never mix.
    """
    final = [Path(target) for target in targets]
    writer = f"by-{socket.gethostname()}-{os.getpid()}"
    partial = [path.with_name(f".{path.stem}.{writer}{TEMPORARY}{path.suffix}") for path in final]
    try:
        for path in final:
            path.parent.mkdir(parents=True, exist_ok=True)
            for left in path.parent.glob(f".{glob.escape(path.stem)}.by-*{TEMPORARY}{glob.escape(path.suffix)}"):
                remove(left)
        yield partial
        for source, target in zip(partial, final, strict=True):
            apply_umask(source)
            if target.is_dir():
                remove(target)
            os.replace(source, target)
    finally:
        for path in partial:
            remove(path)


def write_texts(texts: Mapping[str | Path, str]) -> None:
    """Write text files, by path, as `replacing` does."""
    with replacing(*texts) as files:
        for file, text in zip(files, texts.values(), strict=True):
            file.write_text(text, encoding="utf-8")


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


def apply_umask(path: Path) -> None:
    """Give a file, or all in a folder, the mode of new files; some libraries write files that only the owner can read."""
    umask = os.umask(0)
    os.umask(umask)
    for entry in [path, *path.rglob("*")] if path.is_dir() else [path]:
        if not entry.is_symlink():
            entry.chmod((entry.stat().st_mode | (0o777 if entry.is_dir() else 0o666)) & ~umask & 0o777)


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
