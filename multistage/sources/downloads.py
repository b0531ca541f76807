"""Downloads over HTTP and from Google Drive by gdown, which goes on where it was interrupted, and of pinned packages by pip,
which are used as data files, never installed or imported; and the checks that are ours."""

import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock

from multistage.jobs.errors import InputError, without_secrets
from multistage.jobs.files import apply_umask, replacing
from multistage.jobs.log import Rate, logger

# Seconds that a server may take to accept a connection, and to send something.
TIMEOUT = (30.0, 60.0)
# Interruptions of one download after which the job gives up.
RETRIES = 20
# Bytes of the disk that a download leaves free.
RESERVE = 1_000_000_000


def download(
    url: str, output: str | Path, *, sha256: str | None = None, md5: str | None = None, size: int | None = None
) -> None:
    """Download the file at `url` to `output`, where it lies whole and checked, or not at all.

    url: $NAME in it stands for an environment variable. A user and a password come from ~/.netrc.
    sha256, md5: its checksums in hexadecimal, size: its bytes, as far as they are known.
    What has come of an interrupted download stays beside `output` in a hidden .part file, and the next attempt asks for the
    rest. Raises InputError when the server cannot be reached or answers with an error, and when an HTML page, another size,
    another checksum or more than the disk holds comes; only an interrupted download leaves anything behind.
    """
    import gdown
    from gdown.exceptions import DownloadError

    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    # What came from another address is not continued.
    whole = output.with_name(f".{output.name}.{hashlib.sha256(url.encode()).hexdigest()[:8]}")
    shown, rate = without_secrets(url), Rate(size or 0, "bytes")

    def watch(done: int, total: int | None) -> None:
        if size is not None and (done > size or total not in (None, size)):
            raise InputError(f"{shown}: {max(done, total or 0):,} bytes or more, expected {size:,}.")
        missing, free = (total or size or done) - done, shutil.disk_usage(output.parent).free
        if missing + RESERVE > free:
            raise InputError(f"{shown}: {missing:,} bytes are still to come, and {free:,} are free in {output.parent}.")
        rate.total = total or size or done + 1
        rate.advance(done - rate.done)

    # A job runs on after its Snakemake was killed, and the next Snakemake starts another.
    with FileLock(output.with_name(f".{output.name}.lock")):
        if output.is_file():
            return
        try:
            gdown.download(
                os.path.expandvars(url),
                str(whole),
                quiet=True,  # it would print the address
                use_cookies=False,
                resume=True,
                progress=watch,
                timeout=TIMEOUT,
                retries=RETRIES,
            )
            if output.suffix not in (".html", ".htm"):
                _refuse_page(whole, shown)
            verify(whole, shown, sha256=sha256, md5=md5, size=size)
        except InputError:
            for left in whole.parent.glob(f"{glob.escape(whole.name)}*"):  # with what gdown keeps
                left.unlink()
            raise
        except (DownloadError, OSError) as error:
            why = without_secrets(" ".join(str(error).split()))
            raise InputError(f"{shown}: the download failed ({why}). Run again to continue, or correct the address.") from None
        apply_umask(whole)  # gdown writes for the owner alone
        os.replace(whole, output)


def fetch_package(package: str, sha256: str, output: str | Path) -> None:
    """Download the wheel of `name==version` to `output`.

    Raises InputError when pip cannot get it, or when its SHA-256 is another; nothing is left behind then.
    """
    with tempfile.TemporaryDirectory() as folder, replacing(output) as (partial,):
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", folder, "--", package]
        ended = subprocess.run(command, capture_output=True, text=True)
        logger.info(without_secrets(ended.stdout.strip()))
        if ended.returncode:
            raise InputError(f"pip could not download {package}:\n{without_secrets(ended.stderr.strip())}")
        (wheel,) = Path(folder).iterdir()
        verify(wheel, package, sha256=sha256)
        shutil.move(wheel, partial)


def verify(
    path: str | Path, origin: str, *, sha256: str | None = None, md5: str | None = None, size: int | None = None
) -> None:
    """Compare a file that came from `origin` with what is known of it. Raises InputError when it differs."""
    name, expected = ("MD5", md5) if md5 is not None and sha256 is None else ("SHA-256", sha256)
    with open(path, "rb") as stream:
        found = hashlib.file_digest(stream, name.replace("-", "").lower()).hexdigest()
    length = Path(path).stat().st_size
    for what, value, wanted in (("size in bytes", length, size), (name, found, expected)):
        if wanted not in (None, value):
            raise InputError(
                f"{origin}: the {what} is {value}, expected {wanted}. The download was damaged, or the file has changed where "
                "it comes from; in that case correct the config."
            )
    advice = "as expected" if expected else "which the config can require of later downloads"
    logger.info(f"{origin}: {length:,} bytes, {name} {found}, {advice}")


def _refuse_page(path: Path, address: str) -> None:
    with open(path, "rb") as stream:
        start = stream.read(4096).decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if re.match(r"<!doctype html|<html[\s>]", start, re.I):
        raise InputError(
            f"{address}: an HTML page came in place of the data. Open the address in a browser; a file that you downloaded "
            "yourself can be given to the config as `path`."
        )
