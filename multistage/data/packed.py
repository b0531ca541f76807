"""Text files however they are packed or encoded, which is seen from how they begin: plain, gzip, bzip2, xz, Zstandard, or a zip
with one file in it; UTF-8, or UTF-16 with a byte-order mark. They are read as streams."""

import bz2
import codecs
import gzip
import io
import lzma
import shutil
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, TextIO

import polars as pl
import pyarrow as pa

from multistage.jobs.errors import InputError

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError)


@contextmanager
def open_text(path: str | Path) -> Iterator[TextIO]:
    r"""The lines of the text file at `path`; only "\n" ends a line. Of a zip, macOS's `__MACOSX` and folders do not count.

    Raises InputError: on opening, when there is no such file, or not one file in a zip; in the block, naming the first line
    that is neither UTF-8 nor UTF-16, or where what is read is damaged (checksums are compared at the end).
    """
    with _open_binary(path) as stream:
        encoding = "utf-16" if stream.peek(2).startswith(UTF_16) else "utf-8-sig"
        try:
            yield io.TextIOWrapper(stream, encoding, newline="\n")
        except UnicodeDecodeError as error:
            if encoding == "utf-16":
                raise InputError(f"{path}: not UTF-16 text ({error.reason}), as its byte-order mark says it is.") from error
            with _open_binary(path) as again:
                number = next(n for n, line in enumerate(again, 1) if line.decode(errors="ignore").encode() != line)
            raise InputError(f"{path}, line {number}: not UTF-8 text ({error.reason}); convert the file to UTF-8.") from error


@contextmanager
def plain_file(path: str | Path) -> Iterator[Path]:
    """The file at `path`; where it is packed or UTF-16, a temporary one with its text in UTF-8.

    Raises InputError as `open_text` does, in the block where Polars cannot read the file.
    """
    with ExitStack() as stack:
        plain = Path(path)
        if _start(path).startswith((*OPENERS, *UTF_16)):
            copy = stack.enter_context(NamedTemporaryFile("w", encoding="utf-8", newline=""))
            with open_text(path) as text:
                shutil.copyfileobj(text, copy, 1 << 20)
            copy.flush()
            plain = Path(copy.name)
        try:
            yield plain
        except pl.exceptions.ComputeError:
            with open_text(path) as text:  # a second look, which names the line
                deque(text, maxlen=0)
            raise


def line_of(path: str | Path, number: int) -> str:
    """A line by its number, counted from 1, of a file that has it. Raises InputError as `open_text` does."""
    with open_text(path) as lines:
        return next(islice(lines, number - 1, None))


@contextmanager
def _open_binary(path: str | Path) -> Iterator[io.BufferedReader]:
    start = _start(path)
    opener = next((opener for magic, opener in OPENERS.items() if start.startswith(magic)), open)
    try:
        with opener(path, "rb") as stream:
            yield io.BufferedReader(stream)
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno:  # of the system, not of what was read
            raise
        raise InputError(f"{path}: the archive is damaged ({error}). If it was downloaded, delete it and run again.") from error


def _start(path: str | Path) -> bytes:
    """How a file begins."""
    if not Path(path).is_file():
        raise InputError(f"{path}: {'this is not a file; give one' if Path(path).exists() else 'this file does not exist'}.")
    with open(path, "rb") as stream:
        return stream.read(6)


def _open_zip(path: str | Path, mode: str) -> Any:
    """The one data file in a zip."""
    archive = zipfile.ZipFile(path)
    entries = [entry for entry in archive.infolist() if not entry.is_dir() and not entry.filename.startswith("__MACOSX/")]
    if len(entries) != 1 or entries[0].flag_bits & 1:
        names = ", ".join(entry.filename for entry in entries[:5])
        raise InputError(f"{path}: expected one file without a password in this zip, found {len(entries)} files ({names}).")
    return archive.open(entries[0])


OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
    b"\x28\xb5\x2f\xfd": lambda path, mode: pa.input_stream(str(path), compression="zstd"),
    b"PK\x03\x04": _open_zip,
    b"PK\x05\x06": _open_zip,
}
