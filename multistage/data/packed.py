"""Data files however they are packed: plain, gzip, or a zip with one file, read as a stream and never unpacked to disk."""

import codecs
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, BinaryIO, TextIO

from multistage.jobs.errors import InputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK = 1 << 20
GZIP, ZIP = b"\x1f\x8b", (b"PK\x03\x04", b"PK\x05\x06")
# What gzip, zipfile and zlib raise on damaged data; RuntimeError and NotImplementedError: encrypted, or a rare compression.
DAMAGE = (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)


@contextmanager
def open_binary(path: str | Path, member: str | None = None) -> Iterator[BinaryIO]:
    """The bytes of the data file at `path`, which is recognised by how it begins, not by its name.

    member: the entry of a zip; without it the zip must hold one file, folders and macOS's `__MACOSX` aside.
    Raises InputError naming the file: on opening, when it is absent, when its zip has no such entry, or an entry that points
    outside its folder; when it is read, where it is damaged (the checksums of gzip and zip are compared at the end).
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: there is no such file.")
    with open(path, "rb", buffering=BLOCK) as plain:
        start = plain.read(4)
        plain.seek(0)
        if start in ZIP:
            try:
                archive = zipfile.ZipFile(plain)
                stream: IO[bytes] | gzip.GzipFile = archive.open(_data_entry(path, archive, member))
            except DAMAGE as error:
                raise _damaged(path, error) from error
        elif member is not None:
            raise InputError(f"{path}: not a zip, so there is no {member} in it.")
        elif start.startswith(GZIP):
            stream = gzip.GzipFile(fileobj=plain)
        else:
            yield plain
            return
        with io.BufferedReader(_Unpacked(path, stream), BLOCK) as unpacked:
            yield unpacked


@contextmanager
def open_text(path: str | Path, member: str | None = None) -> Iterator[TextIO]:
    r"""The lines of the UTF-8 data file at `path`, as `open_binary` reads it; only "\n" ends a line.

    Raises InputError as `open_binary` does, and when what is read is not UTF-8.
    """

    def refuse(error: UnicodeError) -> tuple[str, int]:
        raise InputError(f"{path}: not UTF-8 text ({error}).")

    # The decoder's own error would not say which file, and a caller that reads two at once could not tell.
    handler = f"refuse {path}"
    codecs.register_error(handler, refuse)
    with open_binary(path, member) as stream:
        yield io.TextIOWrapper(stream, encoding="utf-8", errors=handler, newline="\n")


class _Unpacked(io.RawIOBase):
    """What gzip or zipfile unpacks, with their errors told as InputError."""

    def __init__(self, path: str | Path, stream: IO[bytes] | gzip.GzipFile) -> None:
        self.path, self.stream = path, stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        try:
            data = self.stream.read(len(view))
        except DAMAGE as error:
            raise _damaged(self.path, error) from error
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self.stream.close()
        super().close()


def _data_entry(path: str | Path, archive: zipfile.ZipFile, member: str | None) -> zipfile.ZipInfo:
    """The entry of a zip that is read."""
    entries = [entry for entry in archive.infolist() if not entry.is_dir() and not entry.filename.startswith("__MACOSX/")]
    for entry in entries:
        check_entry(path, entry.filename)
    chosen = [entry for entry in entries if member in (None, entry.filename)]
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(entry.filename for entry in entries[:5]) + (", ..." if len(entries) > 5 else "")
    expected = "one data file" if member is None else f"the file {member}"
    raise InputError(f"{path}: expected {expected} in this zip, found {len(entries)} files{names and f': {names}'}.")


def check_entry(path: str | Path, name: str) -> None:
    """Refuse an archive's entry whose name could lead out of the folder it is unpacked to."""
    entry = PurePosixPath(name.replace("\\", "/"))
    if entry.is_absolute() or ".." in entry.parts or ":" in entry.parts[0]:
        raise InputError(f"{path}: entry {name!r} points outside its folder; this archive is not to be trusted.")


def _damaged(path: str | Path, error: Exception) -> InputError:
    return InputError(f"{path}: a damaged archive ({error}). Delete it to have it fetched again.")
