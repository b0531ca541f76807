"""What jobs share: logs that say how they ended and how far they are, and files that are whole or absent."""

import hashlib
import os
import resource
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from npy_append_array import NpyAppendArray
from safetensors.torch import save_file

from multistage.jobs.errors import InputError
from multistage.jobs.files import cached_digest, readable, replacing, scratch
from multistage.jobs.run_log import MOST, messages, notices
from multistage.retrieval.encoding import write_vectors

SCRIPT = """
import os, sys
from multistage.jobs import log
from multistage.jobs.errors import InputError, RunAgain
log.SECONDS_BETWEEN_LINES = 0.0
with log.job_log({path!r}):
    print("from Python", flush=True)
    os.system("echo from a child")
    rate = log.Rate(3, "passages")
    log.logging.getLogger("transformers").warning("a library's")
    log.logger.warning("%d judgements left out", 3)
    for _ in range(3):
        rate.advance(1, "loss 0.5")
    {ending}
"""


@pytest.mark.parametrize(
    ("ending", "code", "last", "traceback"),
    [
        ("pass", 0, "done in", False),
        ("raise InputError('some.run, line 3: 5 columns')", 1, "ERROR: some.run, line 3: 5 columns", False),
        ("open('/absent/file')", 1, "ERROR: /absent/file: No such file or directory. Look at this", False),
        ("raise RuntimeError('a bug')", 1, "RuntimeError: a bug", True),
        ("raise RunAgain('SIGTERM came')", 75, "with everything saved: run again to resume. SIGTERM came", False),
    ],
)
def test_the_log_holds_everything(tmp_path, ending, code, last, traceback):
    path = tmp_path / "logs" / "job.log"
    script = SCRIPT.format(path=str(path), ending=ending)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    lines = path.read_text().splitlines()
    assert ended.returncode == code and not ended.stdout and not ended.stderr
    assert "from Python" in lines and "from a child" in lines
    assert sum("passages" in line and "/s, " in line and "left, loss 0.5" in line for line in lines) == 3
    assert last in lines[-1] and ("Traceback (most recent call last):" in lines) == traceback
    if code == 0:
        assert "peak memory" in lines[-1]
    other = tmp_path / "other.log"
    other.write_text(path.read_text())
    run = [SimpleNamespace(log=[other, path]), SimpleNamespace(log=[tmp_path / "deleted.log"])]
    assert notices(["of the config"], run) == ["of the config", f"3 judgements left out ({path} and 1 more)"]
    assert len(notices(map(str, range(MOST + 7)), run)) == MOST + 1
    assert notices(map(str, range(MOST + 7)), run)[-1] == "and 8 more: grep -r 'jobs WARNING' results"


def test_files_are_whole_or_absent(tmp_path):
    (tmp_path / "one").write_text("before")

    def fail():
        with replacing(tmp_path / "one", tmp_path / "two") as (one, two):
            one.write_text("after")
            two.mkdir()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["one"] and (tmp_path / "one").read_text() == "before"


WRITERS = {
    "text": lambda path: path.write_text("a" * 99_999),
    "Polars": lambda path: pl.DataFrame({"id": range(99_999)}).write_parquet(path),
    "PyArrow": lambda path: pq.write_table(pa.table({"id": range(99_999)}), path),
    "safetensors": lambda path: save_file({"weight": torch.zeros(99_999)}, path),
    "a checkpoint": lambda path: torch.save(torch.zeros(99_999), path.open("wb")),
    "a copy": lambda path: shutil.copyfile(sys.executable, path),
    "NumPy": lambda path: NpyAppendArray(path).append(np.zeros(99_999)),
}


@pytest.fixture
def small_files():
    """Files of this process stay below 10 kB: what is written says so as on a full disk, with another number."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kind", WRITERS)
def test_what_cannot_be_written_is_named_with_the_reason(tmp_path, small_files, kind):
    with (
        pytest.raises(InputError, match=f"^{tmp_path}/target.x: (File too large|No space left on device)\\."),
        replacing(tmp_path / "target.x") as files,
    ):
        WRITERS[kind](files[0])
    assert not list(tmp_path.iterdir())


def test_what_waits_for_its_place_is_named_by_that(tmp_path, small_files):
    with pytest.raises(InputError, match=f"^{tmp_path}/vectors: "):
        write_vectors(tmp_path / "vectors", [(torch.zeros(9_999, 2), [9_999])])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("path", "reason"),
    [("a" * 300, "File name too long. Choose shorter names"), ("file/below", "Not a directory|File exists")],
)
def test_what_the_system_refuses_is_one_sentence(tmp_path, path, reason):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=f"{path[:9]}.*: {reason}"), replacing(tmp_path / path) as (partial,):
        partial.touch()
    with pytest.raises(InputError, match=r"No such file or directory\. Look"), readable(tmp_path / "absent"):
        (tmp_path / "absent").read_text()
    with pytest.raises(InputError, match=f"^{tmp_path}/absent: No such file"), readable(tmp_path):
        pl.read_csv(tmp_path / "absent")


def test_leftovers_of_a_killed_job_are_removed(tmp_path):
    with scratch(tmp_path / "model") as folder:
        (folder / "half.safetensors").write_text("half")
        folder.rename(tmp_path / "kept")
    (tmp_path / "kept").rename(folder)  # as if the job had been killed inside the block
    with scratch(tmp_path / "model") as folder:
        assert not list(folder.iterdir())
    assert not list((tmp_path / "model").iterdir())
    for left in (".one.by-here-1.partial.txt", "..one.by-here-1.partial.by-here-1.partial.txt"):
        (tmp_path / left).touch()
    with replacing(tmp_path / "one.txt") as (partial,):
        partial.touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "one.txt"]


def test_a_digest_is_of_what_a_file_holds_now(tmp_path):
    own, cache = tmp_path / "own.tsv", tmp_path / "digests.json"
    assert cached_digest(own, cache) is None
    own.write_text("one")
    first = cached_digest(own, cache)
    assert cached_digest(own, cache) == first == hashlib.sha256(b"one").hexdigest()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("multistage.jobs.files.sha256", None)  # it is not read again
        assert cached_digest(own, cache) == first
    own.write_text("two")
    os.utime(own, (1, 1))
    for damaged in (cache.read_text()[:20], "[]"):
        cache.write_text(damaged)
        assert cached_digest(own, cache) == hashlib.sha256(b"two").hexdigest()


def test_a_failed_job_without_a_message_is_shown_by_the_end_of_its_log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failure = "Error in rule finetune:\n    jobid: 3\n    log: job.log (check log file(s) for error details)\n"
    (tmp_path / "run.log").write_text(failure + failure)
    (tmp_path / "job.log").write_text("Traceback\nKeyError: 'a bug'\n")
    assert messages(tmp_path / "run.log") == ["finetune: job.log ends:\nTraceback\nKeyError: 'a bug'"]
    (tmp_path / "job.log").write_text("a warning\nERROR: one has 2 queries.\ntwo has 3.\n")
    assert messages(tmp_path / "run.log") == ["finetune: ERROR: one has 2 queries.\ntwo has 3. (log: job.log)"]
    (tmp_path / "job.log").write_text("2026-01-01 00:00:00 jobs INFO: 3 of 9 steps\n")
    assert "job.log ends without an error (was the process killed" in messages(tmp_path / "run.log")[0]
