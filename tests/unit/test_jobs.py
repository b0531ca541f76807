"""What jobs share: logs that say how they ended and how far they are, and files that are whole or absent."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from multistage.jobs.files import replacing, scratch
from multistage.jobs.notices import MOST, notices

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
        ("raise RuntimeError('a bug')", 1, "RuntimeError: a bug", True),
        (
            "raise RunAgain('SIGTERM came')",
            75,
            "stopped on request, with everything saved: run again to resume. SIGTERM came",
            False,
        ),
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


def test_leftovers_of_a_killed_job_are_removed(tmp_path):
    with scratch(tmp_path / "model") as folder:
        (folder / "half.safetensors").write_text("half")
        folder.rename(tmp_path / "kept")
    (tmp_path / "kept").rename(folder)  # as if the job had been killed inside the block
    with scratch(tmp_path / "model") as folder:
        assert not list(folder.iterdir())
    assert not list((tmp_path / "model").iterdir())
