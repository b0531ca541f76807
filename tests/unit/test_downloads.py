"""Downloads from a server on loopback that drops, refuses and lies: the right file or a clear error, and nothing sent twice."""

import email.utils
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopback import Behaviour, file_server
from multistage.jobs.errors import InputError
from multistage.sources.checksums import Expected, Found, record, recorded
from multistage.sources.downloads import download, download_source
from multistage.sources.mirrors import mirrored, shown
from multistage.sources.partial import Partial
from multistage.sources.patience import Patience

ORIGIN = "https://data.example.org/sets/"
ADDRESS = f"{ORIGIN}run.tsv"
CONTENT = np.random.default_rng(7).bytes(1_000_003)
KNOWN = Expected(sha256=hashlib.sha256(CONTENT).hexdigest(), bytes=len(CONTENT))
TENTH = len(CONTENT) // 10 + 1


class Naps(Patience):
    """Patience that notes the seconds it would have slept."""

    def __init__(self, **settings):
        slept = []
        super().__init__(read=5.0, sleep=slept.append, **settings)
        object.__setattr__(self, "slept", slept)


@pytest.fixture
def site(tmp_path):
    """A server of run.tsv."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "run.tsv").write_bytes(CONTENT)
    with file_server(tmp_path / "served") as server:
        yield server


@pytest.fixture
def output(tmp_path):
    """Where the download goes."""
    return tmp_path / "results" / "run.tsv"


def fetch(site, output, expected=KNOWN, patience=None, address=ADDRESS):
    return download(address, output, expected, {ORIGIN: site.url}, patience or Naps())


def left_behind(output):
    """What lies beside the output, the lock aside."""
    return sorted(path.name for path in output.parent.iterdir() if not path.name.endswith(".lock"))


def test_a_file_is_fetched_and_checked(site, output):
    assert fetch(site, output) == Found(KNOWN.sha256, len(CONTENT))
    assert output.read_bytes() == CONTENT and left_behind(output) == ["run.tsv"]


@pytest.mark.parametrize("tenth", range(1, 10))
def test_a_connection_dropped_at_a_tenth_loses_nothing(site, output, tenth):
    """Each response ends after so many tenths of the file: the next begins at the byte where it ended."""
    site.behaviours["/run.tsv"] = Behaviour(drop_after=tenth * TENTH)
    fetch(site, output)
    assert output.read_bytes() == CONTENT and left_behind(output) == ["run.tsv"]
    assert site.sent["/run.tsv"] == len(CONTENT)
    starts = range(tenth * TENTH, len(CONTENT), tenth * TENTH)
    assert site.ranges() == [None, *(f"bytes={start}-" for start in starts)]


def test_a_server_without_ranges_sends_the_whole_file_again(site, output):
    site.behaviours["/run.tsv"] = Behaviour(ranges=False, drop_after=TENTH)
    partial = output.with_name(".run.tsv.partial")
    with pytest.raises(InputError, match=r"gave up after 8 attempts .* 100,001 bytes have come"):
        fetch(site, output)
    assert partial.read_bytes() == CONTENT[:TENTH]
    site.behaviours["/run.tsv"] = Behaviour(ranges=False)
    fetch(site, output)
    assert output.read_bytes() == CONTENT and left_behind(output) == ["run.tsv"]


@pytest.mark.parametrize("behaviour", [{"validators": False}, {"chunked": True}, {"chunked": True, "validators": False}])
def test_a_server_that_says_little_of_the_file_is_enough(site, output, behaviour):
    site.behaviours["/run.tsv"] = Behaviour(drop_after=3 * TENTH, **behaviour)
    fetch(site, output)
    assert output.read_bytes() == CONTENT and site.sent["/run.tsv"] == len(CONTENT)


def test_a_file_that_changes_meanwhile_is_not_spliced(site, output):
    site.behaviours["/run.tsv"] = Behaviour(drop_after=TENTH)
    with pytest.raises(InputError, match="gave up after 1 attempts"):
        fetch(site, output, patience=Naps(attempts=1))
    other = CONTENT[::-1]
    (site.folder / "run.tsv").write_bytes(other)
    site.behaviours.clear()
    fetch(site, output, expected=Expected())
    assert output.read_bytes() == other


def test_a_range_that_begins_elsewhere_is_refused(site, output):
    site.behaviours["/run.tsv"] = Behaviour(drop_after=6 * TENTH, shift=1)
    with pytest.raises(InputError, match="another part than it was asked for"):
        fetch(site, output)
    site.behaviours.clear()
    fetch(site, output)
    assert output.read_bytes() == CONTENT


def test_what_came_from_another_address_is_not_gone_on_with(site, output):
    site.behaviours["/run.tsv"] = Behaviour(drop_after=TENTH)
    with pytest.raises(InputError, match="gave up"):
        fetch(site, output, patience=Naps(attempts=1))
    (site.folder / "copy").mkdir()
    (site.folder / "copy" / "run.tsv").write_bytes(CONTENT)
    download(ADDRESS, output, KNOWN, {ORIGIN: f"{site.url}copy/"}, Naps())
    assert output.read_bytes() == CONTENT and site.sent["/copy/run.tsv"] == len(CONTENT)


def test_a_killed_download_goes_on(site, output):
    """kill -9 in the middle, then again: what had come is kept, and asked for no more."""
    site.behaviours["/run.tsv"] = Behaviour(pause=0.02)
    call = f"download({ADDRESS!r}, {str(output)!r}, Expected(sha256={KNOWN.sha256!r}), {{{ORIGIN!r}: {site.url!r}}})"
    code = f"from sources.downloads import download; from sources.checksums import Expected; {call}"
    command = [sys.executable, "-c", code]
    environment = os.environ
    process = subprocess.Popen(command, env=environment)
    partial = Partial(output)
    deadline = time.monotonic() + 20
    while partial.size < 3 * TENTH:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = partial.size
    assert 3 * TENTH <= kept < len(CONTENT) and not output.exists() and partial.path.read_bytes() == CONTENT[:kept]
    site.behaviours["/run.tsv"] = Behaviour()
    subprocess.run(command, env=environment, check=True)
    assert output.read_bytes() == CONTENT and site.ranges() == [None, f"bytes={kept}-"]


def test_what_came_whole_before_a_kill_is_not_asked_for(site, output):
    with pytest.raises(InputError, match="gave up"):
        site.behaviours["/run.tsv"] = Behaviour(drop_after=len(CONTENT) - 5)
        fetch(site, output, patience=Naps(attempts=1))
    partial = Partial(output)
    with open(partial.path, "ab") as stream:
        stream.write(CONTENT[-5:])
    before = len(site.requests)
    fetch(site, output)
    assert len(site.requests) == before and output.read_bytes() == CONTENT


def test_a_second_process_waits_for_the_first(site, output):
    """After a kill of Snakemake its job runs on, and the next Snakemake starts another."""
    site.behaviours["/run.tsv"] = Behaviour(pause=0.005)
    threads = [threading.Thread(target=fetch, args=(site, output)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert site.sent["/run.tsv"] == len(CONTENT) and output.read_bytes() == CONTENT


@pytest.mark.parametrize("status", [408, 429, 500, 503, 504])
def test_a_busy_server_is_asked_again(site, output, status):
    site.behaviours["/run.tsv"] = Behaviour(answers=[(status, {}), (status, {}), (status, {})], drop_after=5 * TENTH)
    patience = Naps()
    fetch(site, output, patience=patience)
    assert output.read_bytes() == CONTENT
    for seconds, longest in zip(patience.slept, [1, 2, 4, 1], strict=True):
        assert longest / 2 <= seconds <= longest


def test_retry_after_is_honoured_within_bounds(site, output):
    date = email.utils.formatdate(time.time() + 30, usegmt=True)
    answers = [(429, {"Retry-After": value}) for value in ("7", "86400", date, "soon")]
    site.behaviours["/run.tsv"] = Behaviour(answers=answers)
    patience = Naps(longest=2.0)
    fetch(site, output, patience=patience)
    assert patience.slept[:2] == [7.0, 600.0] and 25 < patience.slept[2] <= 30 and patience.slept[3] <= 2


def test_a_server_that_stays_busy_is_given_up_on(site, output):
    site.behaviours["/run.tsv"] = Behaviour(answers=[(503, {})] * 20)
    with pytest.raises(InputError, match=r"gave up after 8 attempts .* the server answered 503"):
        fetch(site, output)
    assert len(site.requests) == 8 and not output.exists()


def test_a_server_that_is_silent_is_given_up_on(site, output):
    site.behaviours["/run.tsv"] = Behaviour(pause=2.0)
    with pytest.raises(InputError, match=r"gave up after 2 attempts .* 0 bytes have come"):
        fetch(site, output, patience=Patience(attempts=2, read=0.1, sleep=lambda _: None))
    with pytest.raises(InputError, match="gave up after 2 attempts"):
        download(ADDRESS, output, KNOWN, {ORIGIN: "http://127.0.0.1:9/"}, Naps(attempts=2))


def test_an_address_without_a_file_is_not_asked_twice(site, output):
    with pytest.raises(InputError, match=r"https://data\.example\.org/sets/absent\.tsv: the server answered 404"):
        fetch(site, output, address=f"{ORIGIN}absent.tsv")
    with pytest.raises(InputError, match="cannot be asked for"):
        download(ADDRESS, output, KNOWN, {ADDRESS + "/": "http:///"} | {ORIGIN: "http:///"}, Naps())
    assert len(site.requests) == 1 and not left_behind(output)


class TestWrongLength:
    """Content-Length is not the file's length."""

    def test_too_long_ends_in_the_right_file(self, site, output):
        """The connection ends early, and what is there is all there is: the server says so when asked for the rest."""
        site.behaviours["/run.tsv"] = Behaviour(length=len(CONTENT) + 500)
        fetch(site, output, expected=Expected(sha256=KNOWN.sha256))
        assert output.read_bytes() == CONTENT and site.sent["/run.tsv"] == len(CONTENT)

    def test_too_short_is_found_by_the_checksum(self, site, output):
        site.behaviours["/run.tsv"] = Behaviour(length=len(CONTENT) - 500)
        with pytest.raises(InputError, match="the SHA-256 is"):
            fetch(site, output, expected=Expected(sha256=KNOWN.sha256))
        assert not left_behind(output)

    def test_another_length_than_expected_stops_before_anything_is_sent(self, site, output):
        with pytest.raises(InputError, match="announces 1,000,003 bytes, expected 1,000,000 according to the config"):
            fetch(site, output, expected=Expected(bytes=1_000_000))
        assert not left_behind(output)

    def test_another_length_without_an_announcement_is_found(self, site, output):
        site.behaviours["/run.tsv"] = Behaviour(chunked=True)
        with pytest.raises(InputError, match="the size in bytes is 1000003, expected 1000000"):
            fetch(site, output, expected=Expected(bytes=1_000_000))
        assert not left_behind(output)


@pytest.mark.parametrize("known", [{"sha256": "0" * 64}, {"md5": "0" * 32}])
def test_a_wrong_checksum_leaves_nothing(site, output, known):
    with pytest.raises(InputError, match=r"expected 0+ according to the config\. .* It was not kept"):
        fetch(site, output, expected=Expected(**known))
    assert not left_behind(output)


def test_md5_is_enough(site, output):
    fetch(site, output, expected=Expected(md5=hashlib.md5(CONTENT).hexdigest()))
    assert output.read_bytes() == CONTENT


class TestWebPages:
    """A page in place of data."""

    PAGE = "<!DOCTYPE html><html><head><title>Please\n log in &amp; wait</title></head></html>"

    @pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/octet-stream"])
    def test_a_page_is_refused(self, site, output, content_type):
        site.behaviours["/run.tsv"] = Behaviour(page=self.PAGE, content_type=content_type)
        with pytest.raises(InputError, match='an HTML page titled "Please log in & wait" came in place of the data'):
            fetch(site, output, expected=Expected())
        assert not left_behind(output)

    def test_a_page_does_not_touch_what_has_come(self, site, output):
        site.behaviours["/run.tsv"] = Behaviour(drop_after=TENTH)
        with pytest.raises(InputError, match="gave up"):
            fetch(site, output, patience=Naps(attempts=1))
        site.behaviours["/run.tsv"] = Behaviour(page=self.PAGE, content_type="text/html")
        with pytest.raises(InputError, match="an HTML page"):
            fetch(site, output)
        assert Partial(output).size == TENTH

    def test_a_page_that_is_wanted_is_taken(self, site, tmp_path):
        (site.folder / "page.html").write_text(self.PAGE)
        site.behaviours["/page.html"] = Behaviour(content_type="text/html")
        fetch(site, tmp_path / "page.html", expected=Expected(), address=f"{ORIGIN}page.html")
        assert (tmp_path / "page.html").read_text() == self.PAGE


class TestGoogleDrive:
    """Its page asks for confirmation before it sends a large file."""

    ADDRESS = "https://drive.google.com/uc?id=1OgF4rj89FWSr7pl1c7Hu4x0oQYIMwhik"
    FILE = "1OgF4rj89FWSr7pl1c7Hu4x0oQYIMwhik"

    @pytest.fixture
    def drive(self, site):
        """A mirror of Google Drive."""
        (site.folder / "run.tsv").rename(site.folder / self.FILE)
        return {"https://drive.google.com/": site.url, "https://drive.usercontent.google.com/": site.url}

    def test_the_file_behind_the_page_is_fetched(self, site, drive, output):
        download(self.ADDRESS, output, KNOWN, drive, Naps())
        assert output.read_bytes() == CONTENT
        paths = [path for _, path, _ in site.requests]
        assert paths == [f"/uc?id={self.FILE}", f"/download?id={self.FILE}&export=download&confirm=t&uuid=0e5c4b3f"]

    def test_it_goes_on_where_it_was_interrupted(self, site, drive, output):
        site.behaviours["/download"] = Behaviour(drop_after=4 * TENTH)
        download(self.ADDRESS, output, KNOWN, drive, Naps())
        assert output.read_bytes() == CONTENT and site.sent["/download"] == len(CONTENT)

    def test_what_drive_says_is_passed_on(self, site, drive, output):
        said = "Too many users have viewed or downloaded this file recently."
        page = f'<html><p class="uc-error-subcaption">{said}</p></html>'
        site.behaviours["/uc"] = Behaviour(page=page, content_type="text/html")
        with pytest.raises(InputError, match=f"Google Drive does not give the file: {said}"):
            download(self.ADDRESS, output, KNOWN, drive, Naps())

    def test_a_page_behind_the_page_is_refused(self, site, drive, output):
        site.behaviours["/download"] = Behaviour(page="<html><title>Sign in</title></html>", content_type="text/html")
        with pytest.raises(InputError, match='titled "Sign in"'):
            download(self.ADDRESS, output, KNOWN, drive, Naps())
        assert not left_behind(output)

    def test_a_mirrors_folder_holds_the_file_under_its_id(self, site, drive, output):
        download(self.ADDRESS, output, KNOWN, {"https://drive.google.com/": f"{site.folder}/"})
        assert output.read_bytes() == CONTENT and not site.requests


class TestMirrors:
    """Where an address is taken from."""

    def test_a_folder_is_copied_from_and_checked(self, site, output):
        download(ADDRESS, output, KNOWN, {ORIGIN: f"{site.folder}/"})
        assert output.read_bytes() == CONTENT and left_behind(output) == ["run.tsv"] and not site.requests
        with pytest.raises(InputError, match="the SHA-256 is"):
            download(ADDRESS, output.with_name("other"), Expected(sha256="0" * 64), {ORIGIN: f"{site.folder}/"})
        with pytest.raises(InputError, match="there is no file"):
            download(f"{ORIGIN}absent.tsv", output, KNOWN, {ORIGIN: f"{site.folder}/"})
        assert left_behind(output) == ["run.tsv"]

    def test_the_longest_beginning_wins(self):
        mirrors = {"https://a.org/": "https://m.org/", "https://a.org/x/": "/data/x/", "https://b.org/": "/data/b/"}
        assert mirrored("https://a.org/y.tsv?download=1", mirrors) == "https://m.org/y.tsv?download=1"
        assert mirrored("https://a.org/x/y%20z.tsv?download=1", mirrors) == Path("/data/x/y z.tsv")
        assert mirrored("https://b.org/uc?export=download&id=../../etc/passwd", mirrors) == Path("/data/b/passwd")
        assert mirrored("https://c.org/x", mirrors) == "https://c.org/x"

    @given(rest=st.text(st.characters(codec="ascii", categories=["L", "N"], include_characters="/-_."), max_size=20))
    def test_the_rest_is_appended(self, rest):
        assert mirrored(ORIGIN + rest, {ORIGIN: "https://m.org/", "https://data.": "https://n.org/"}) == f"https://m.org/{rest}"

    def test_what_may_be_secret_is_not_shown(self):
        assert shown("https://user:word@m.org/a?token=x&id=12 failed") == "https://m.org/a?id=12 failed"
        assert shown("with url: /a/b?signature=abc (Caused by x@y)") == "with url: /a/b?... (Caused by x@y)"

    def test_nor_is_it_logged(self, site, output, caplog):
        site.behaviours["/run.tsv"] = Behaviour(answers=[(503, {})] * 2)
        address = f"{ORIGIN}run.tsv?token=SECRET"
        mirror = site.url.replace("http://", "http://user:SECRET@")
        with caplog.at_level("INFO"):
            download(address, output, KNOWN, {ORIGIN: mirror}, Naps())
        with pytest.raises(InputError) as refusal:
            download(address, output.with_name("b"), KNOWN, {ORIGIN: "http://user:SECRET@127.0.0.1:9/"}, Naps(attempts=1))
        assert "503" in caplog.text and "SECRET" not in caplog.text + str(refusal.value)


def test_space_is_asked_for_before_anything_is_sent(site, output, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("usage", (), {"free": 1_000_000})())
    with pytest.raises(InputError, match=r"1,000,003 bytes more are needed in .*, and 1,000,000 are free"):
        fetch(site, output)
    assert Partial(output).size == 0 and not output.exists()


class TestLedger:
    """Where no checksum is known, the first download's is."""

    def fetch(self, site, output, ledger, expected=None):
        download_source("run", ADDRESS, output, expected or Expected(), {ORIGIN: site.url}, ledger)

    def test_the_first_download_is_recorded_and_later_ones_held_to_it(self, site, output, tmp_path):
        ledger = tmp_path / "results" / "checksums.tsv"
        self.fetch(site, output, ledger)
        line = f"run\trun.tsv\t{KNOWN.sha256}\t{len(CONTENT)}\n"
        assert ledger.read_text() == "source\tfile\tsha256\tbytes\n" + line
        output.unlink()
        self.fetch(site, output, ledger)
        assert output.read_bytes() == CONTENT
        output.unlink()
        (site.folder / "run.tsv").write_bytes(CONTENT[::-1])
        with pytest.raises(InputError, match=r"according to .*checksums\.tsv .* delete the line of run from .*checksums\.tsv"):
            self.fetch(site, output, ledger)
        assert left_behind(output) == ["checksums.tsv"]
        ledger.write_text(ledger.read_text().replace(line, ""))
        self.fetch(site, output, ledger)
        assert output.read_bytes() == CONTENT[::-1]

    def test_a_known_checksum_needs_no_line(self, site, output, tmp_path):
        self.fetch(site, output, tmp_path / "checksums.tsv", KNOWN)
        assert not (tmp_path / "checksums.tsv").exists()

    def test_a_known_size_is_no_checksum(self, site, output, tmp_path):
        self.fetch(site, output, tmp_path / "checksums.tsv", Expected(bytes=len(CONTENT)))
        assert recorded(tmp_path / "checksums.tsv", "run", "run.tsv").sha256 == KNOWN.sha256

    @settings(deadline=None, max_examples=25)
    @given(
        entries=st.dictionaries(
            st.tuples(st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]*\Z"), st.from_regex(r"\A[A-Za-z0-9_.-]+\Z")),
            st.tuples(st.binary(max_size=4), st.integers(0, 10**12)),
            max_size=4,
        )
    )
    def test_what_is_recorded_is_found(self, tmp_path_factory, entries):
        ledger = tmp_path_factory.mktemp("ledger") / "checksums.tsv"
        found = {key: Found(hashlib.sha256(content).hexdigest(), size) for key, (content, size) in entries.items()}
        for key in sorted(found, reverse=True):
            record(ledger, *key, found[key])
        for key, entry in found.items():
            expected = recorded(ledger, *key)
            assert (expected.sha256, expected.bytes) == (entry.sha256, entry.bytes)
        assert recorded(ledger, "another source", "x") is None
        lines = ledger.read_text().splitlines()[1:] if entries else []
        assert [tuple(line.split("\t")[:2]) for line in lines] == sorted(found)

    def test_a_line_that_was_spoilt_is_named(self, tmp_path):
        ledger = tmp_path / "checksums.tsv"
        ledger.write_text("source\tfile\tsha256\tbytes\nrun run.tsv\n")
        with pytest.raises(InputError, match=r"checksums\.tsv, line 2: expected source, file, sha256, bytes"):
            recorded(ledger, "run", "run.tsv")
