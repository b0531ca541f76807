"""Downloads over HTTP: they go on where they were interrupted, wait for servers that are busy, and are checked."""

import logging
import re
import time
from collections.abc import Mapping
from pathlib import Path

import requests
import urllib3

from multistage.jobs.errors import InputError
from multistage.jobs.log import Rate
from multistage.sources.checksums import Expected, Found, check_file, record, recorded
from multistage.sources.mirrors import mirrored, shown
from multistage.sources.partial import Partial, Version, alone
from multistage.sources.patience import Patience
from multistage.sources.space import MEGABYTE, megabytes, require_space
from multistage.sources.web_pages import PAGE, confirmed, is_drive, is_page, page_is_wanted, refused

logger = logging.getLogger("jobs")
BLOCK = 1 << 20
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
BUSY = (requests.codes.request_timeout, requests.codes.too_early, requests.codes.too_many_requests)
DROPPED = (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError)


class Interrupted(Exception):
    """A transfer ended before its end, and may be taken up again. retry_after: when, as the server says."""

    def __init__(self, reason: str, retry_after: str | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


def download_source(
    source: str, address: str, output: str | Path, expected: Expected, mirrors: Mapping[str, str], ledger: str | Path
) -> None:
    """Download a source of the config, as `download` does.

    Where the config knows no checksum, the ledger's is expected, and the first download's is recorded there.
    """
    name = Path(output).name
    known = None if expected.has_checksum else recorded(ledger, source, name)
    found = download(address, output, known or expected, mirrors)
    if not expected.has_checksum and known is None:
        record(ledger, source, name, found)


def download(
    address: str,
    output: str | Path,
    expected: Expected,
    mirrors: Mapping[str, str],
    patience: Patience | None = None,
    account: Mapping[str, str] | None = None,
) -> Found:
    """Fetch the file at `address`, or its mirror's, to `output`; it lies there whole and checked, or not at all.

    account: headers that open the file to a user; they go to the address itself, never to a mirror.
    What has come stays in a partial file beside `output` when the job is killed or the server gives up; the next attempt asks
    for the rest (HTTP Range, RFC 9110 section 14), on condition that the file is still the same (If-Range). A server that
    cannot do so sends the whole file. Dropped connections, timeouts, 408, 425, 429 and 5xx are tried again, see `Patience`.
    Raises InputError when nothing more is gained by that, for any other status, for a web page in place of data, when the disk
    has too little space, and for another size or checksum than expected; after the last, nothing is kept.
    """
    output, patience = Path(output), patience or Patience()
    place = mirrored(address, mirrors)
    start = time.perf_counter()
    with alone(output) as waited:
        if waited and output.is_file():
            return check_file(output, expected, shown(address))
        partial = Partial(output)
        before = partial.size
        if isinstance(place, Path):
            before = 0
            _copy(place, address, partial)
        else:
            logger.info("downloading %s%s", shown(address), "" if place == address else f" from {shown(place)}")
            headers = dict(account or {}) if place == address else {}
            _Transfer(address, place, partial, expected, mirrors, patience, headers).run()
        try:
            if not page_is_wanted(output.name):
                _refuse_page(partial.path, address)
            found = check_file(partial.path, expected, shown(address))
        except InputError:
            partial.discard()
            raise
        partial.finish(output)
    seconds = time.perf_counter() - start
    rate = (found.bytes - before) / MEGABYTE / max(seconds, 1e-9)
    logger.info(
        "%s: %s bytes, %s of them now, in %.1f s (%.1f MB/s)",
        output,
        f"{found.bytes:,}",
        f"{found.bytes - before:,}",
        seconds,
        rate,
    )
    logger.info("%s: SHA-256 %s%s", output, found.sha256, ", as expected" if expected.has_checksum else "")
    return found


class _Transfer:
    """A file on its way from `place` to its partial file, over as many requests as it takes."""

    def __init__(
        self,
        address: str,
        place: str,
        partial: Partial,
        expected: Expected,
        mirrors: Mapping[str, str],
        patience: Patience,
        headers: dict[str, str],
    ) -> None:
        self.address, self.place, self.partial, self.expected = address, place, partial, expected
        self.mirrors, self.patience, self.headers = mirrors, patience, headers
        self.name = partial.path.name.removeprefix(".").removesuffix(".partial")
        self.rate: Rate | None = None

    def run(self) -> None:
        """Fetch what is missing."""
        failures, furthest = 0, self.partial.size
        with requests.Session() as session:
            while True:
                try:
                    self._request(session)
                    return
                except (*DROPPED, Interrupted) as error:
                    # Only bytes beyond all that came before are a gain: a server may break off a whole file at the same place.
                    failures = 1 if self.partial.size > furthest else failures + 1
                    furthest = max(furthest, self.partial.size)
                    self._wait(failures, error)
                except requests.RequestException as error:
                    raise InputError(f"{shown(self.address)}: cannot be asked for ({shown(str(error))}).") from error

    def _wait(self, failures: int, error: Exception) -> None:
        reason = shown(str(error)) or type(error).__name__
        came = f"{self.partial.size:,} bytes have come"
        if failures >= self.patience.attempts:
            raise InputError(
                f"{shown(self.address)}: gave up after {failures} attempts in a row that brought nothing; {came} and are kept. "
                f"The last ended so: {reason}. Run again later to go on, or give a mirror in the config."
            ) from error
        seconds = self.patience.seconds(failures, getattr(error, "retry_after", None))
        logger.info("%s; %s; trying again in %.1f s", reason, came, seconds)
        self.patience.sleep(seconds)

    def _request(self, session: requests.Session) -> None:
        """Ask for what is missing and write what comes. Raises Interrupted when that is not all of it."""
        version = self.partial.version()
        if version is None or version.address != self.place:
            if self.partial.size:
                logger.info("starting over: the %s bytes that are here came from elsewhere", f"{self.partial.size:,}")
            version = None
            self.partial.discard()
        elif version.total == self.partial.size:
            return
        headers = self.headers | {"Accept-Encoding": "identity"}
        if version is not None:
            headers["Range"] = f"bytes={self.partial.size}-"
            if version.validator is not None:
                headers["If-Range"] = version.validator
        with self._open(session, headers) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable and version is not None:
                if response.headers.get("Content-Range") == f"bytes */{self.partial.size}":
                    return
                self.partial.discard()
                raise Interrupted("the file is shorter than what has come of it")
            self._refuse_status(response)
            if response.status_code == requests.codes.partial_content:
                total = self._continued(response, version)
            else:
                total = self._begun(response, version)
            self._check_space(total)
            self._receive(response, total)

    def _open(self, session: requests.Session, headers: dict[str, str]) -> requests.Response:
        """The response with the data. Google Drive's confirmation page is answered, any other page refused."""
        place, drive = self.place, is_drive(self.address)
        while True:
            timeout = (self.patience.connect, self.patience.read)
            response = session.get(place, headers=headers, stream=True, timeout=timeout)
            pages = page_is_wanted(self.name) or not response.ok
            if pages or not is_page(b"", response.headers.get("Content-Type", "")):
                return response
            with response:
                page = response.raw.read(PAGE, decode_content=True)
            if not drive:
                raise refused(self.address, page)
            # Once: a page after a confirmation is no confirmation page.
            drive = False
            target = mirrored(confirmed(self.address, page), self.mirrors)
            if isinstance(target, Path):
                raise InputError(f"{shown(self.address)}: its mirror asks for confirmation, and points to the folder {target}.")
            place = target

    def _refuse_status(self, response: requests.Response) -> None:
        status = response.status_code
        if status in (requests.codes.ok, requests.codes.partial_content):
            return
        said = f"the server answered {status} {response.reason}"
        if is_busy(status):
            raise Interrupted(said, response.headers.get("Retry-After"))
        raise InputError(f"{shown(self.address)}: {said}. Look the address up in a browser and correct it in the config.")

    def _continued(self, response: requests.Response, version: Version | None) -> int | None:
        """The size of the whole file, of which the response brings the rest."""
        found = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if version is not None and found is not None and int(found[1]) == self.partial.size:
            total = version.total if found[2] == "*" else int(found[2])
            if version.total in (None, total):
                return total
        self.partial.discard()
        raise Interrupted("the server sent another part than it was asked for; starting over")

    def _begun(self, response: requests.Response, version: Version | None) -> int | None:
        """The size of the file that the response brings from its start."""
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        if total is not None and self.expected.bytes not in (None, total):
            raise InputError(
                f"{shown(self.address)}: the server announces {total:,} bytes, expected {self.expected.bytes:,} according to "
                f"{self.expected.said_by}. The file has changed where it comes from, or this is another one."
            )
        if version is not None:
            logger.info("starting over: the file has changed, or the server sends it only as a whole")
        tag = response.headers.get("ETag", "")
        # If-Range takes strong tags only (RFC 9110, section 13.1.5).
        validator = tag if tag.startswith('"') else response.headers.get("Last-Modified")
        self.partial.begin(Version(self.place, validator, total))
        return total

    def _check_space(self, total: int | None) -> None:
        if total is not None:
            require_space(self.partial.path.parent, total - self.partial.size, shown(self.address))

    def _receive(self, response: requests.Response, total: int | None) -> None:
        """Append what comes to the partial file, unbuffered, so that it is there when the process is killed."""
        if self.rate is None and total is not None:
            self.rate = Rate(megabytes(total), "MB", done=self.partial.size // MEGABYTE)
        size = self.partial.size
        with open(self.partial.path, "ab", buffering=0) as stream:
            # The bytes as they are sent, without unpacking: it is them that sizes and checksums are of.
            while block := response.raw.read1(BLOCK, decode_content=False):
                stream.write(block)
                size += len(block)
                self._show(size, total)
        if total is not None and size < total:
            raise Interrupted(f"the connection ended {total - size:,} bytes early")

    def _show(self, size: int, total: int | None) -> None:
        if self.rate is not None:
            done = megabytes(size) if size == total else size // MEGABYTE
            self.rate.advance(max(done - self.rate.done, 0))


def is_busy(status: int) -> bool:
    """Whether the same request may succeed later, after an answer with this status."""
    return status in BUSY or status >= requests.codes.internal_server_error


def _copy(place: Path, address: str, partial: Partial) -> None:
    """Copy a file from a mirror's folder."""
    if not place.is_file():
        raise InputError(f"{shown(address)}: its mirror in the config is a folder, and there is no file {place}.")
    total = place.stat().st_size
    logger.info("copying %s, the mirror of %s", place, shown(address))
    require_space(partial.path.parent, total - partial.size, str(place))
    partial.begin(Version(str(place), None, total))
    rate = Rate(megabytes(total), "MB")
    with open(place, "rb") as stream, open(partial.path, "wb") as copy:
        size = 0
        while block := stream.read(BLOCK):
            copy.write(block)
            size += len(block)
            rate.advance(size // MEGABYTE - rate.done)


def _refuse_page(path: Path, address: str) -> None:
    with open(path, "rb") as stream:
        start = stream.read(PAGE)
    if is_page(start):
        raise refused(address, start)
