"""Data files however they are packed: plain, gzip, or a zip with one file, read as a stream and never unpacked to disk."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from multistage.jobs.errors import InputError

GZIP, ZIP = b"\x1f\x8b", (b"PK\x03\x04", b"PK\x05\x06")
# What gzip, zipfile and zlib raise on damaged data; NotImplementedError: a compression that they do not know.
DAMAGE = (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)


@contextmanager
def open_binary(path: str | Path, member: str | None = None) -> Iterator[BinaryIO]:
    """The bytes of the data file at `path`, which is recognised by how it begins, not by its name.

    member: the entry of a zip; without it the zip must hold one file, folders and macOS's `__MACOSX` aside.
    Raises InputError naming the file: on opening, when it is absent or its zip has no such entry; in the block, where what is
    read is damaged (the checksums of gzip and zip are compared at the end).
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: this file does not exist.")
    with ExitStack() as stack:
        plain = stack.enter_context(open(path, "rb"))
        start = plain.read(4)
        plain.seek(0)
        try:
            if start in ZIP:
                archive = stack.enter_context(zipfile.ZipFile(plain))
                yield cast(BinaryIO, stack.enter_context(archive.open(_data_entry(path, archive, member))))
            elif member is not None:
                raise InputError(f"{path}: not a zip file, so it cannot hold {member}.")
            elif start.startswith(GZIP):
                yield cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=plain)))
            else:
                yield plain
        except DAMAGE as error:
            raise InputError(f"{path}: the archive is damaged ({error}). Delete it to have it fetched again.") from error


@contextmanager
def open_text(path: str | Path, member: str | None = None) -> Iterator[TextIO]:
    r"""The lines of the UTF-8 data file at `path`, as `open_binary` reads it; only "\n" ends a line.

    Raises InputError as `open_binary` does, and in the block when what is read is not UTF-8.
    """
    with open_binary(path, member) as stream:
        try:
            yield io.TextIOWrapper(stream, encoding="utf-8", newline="\n")
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not UTF-8 text ({error}).") from error


def _data_entry(path: str | Path, archive: zipfile.ZipFile, member: str | None) -> zipfile.ZipInfo:
    """The entry of a zip that is read."""
    entries = [entry for entry in archive.infolist() if not entry.is_dir() and not entry.filename.startswith("__MACOSX/")]
    chosen = [entry for entry in entries if member in (None, entry.filename)]
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(entry.filename for entry in entries[:5]) + (", ..." if len(entries) > 5 else "")
    expected = "one data file" if member is None else f"the file {member}"
    raise InputError(f"{path}: expected {expected} in this zip, found {len(entries)} files{names and f': {names}'}.")
