"""A stage may be killed at any moment: run again, it ends with the same bytes."""

import errno
import json
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from multistage.jobs.errors import InputError, RunAgain
from multistage.jobs.log import job_log
from multistage.training.state import sole_writer
from multistage.training.steps import Stage
from small_stage import ADAPTER, JOBS, train

STEPS = 30
CHANGES = {"steps": STEPS, "validate_every": 7, "learning_rate": 1e-2}
EVERY_STEP = {"checkpoint_minutes": 0}


def train_slowly(inputs, folder, pause, processes):
    """Train the stage with a checkpoint after each step, and `pause` seconds before it."""
    really = Stage._train_step

    def slowly(self, *arguments):
        time.sleep(pause)
        return really(self, *arguments)

    Stage._train_step = slowly
    with job_log(f"{folder}/{os.getpid()}.log"):
        train(inputs, folder / "model", training={**EVERY_STEP, "processes": processes}, **CHANGES)


@pytest.fixture
def job(inputs, tmp_path):
    """Starts the stage in a process of its own, which saves after every step and takes its time."""

    def start(pause=0.15, processes=1):
        process = JOBS.Process(target=train_slowly, args=(inputs, tmp_path, pause, processes))
        process.start()
        return process

    return start


def end(process):
    """Wait for the end of a process; its exit code."""
    process.join(timeout=300)
    return process.exitcode


def log(tmp_path, process):
    """What a process has logged so far."""
    path = tmp_path / f"{process.pid}.log"
    return path.read_text() if path.exists() else ""


def saved_steps(tmp_path):
    return sorted(int(path.name[5:13]) for path in (tmp_path / "state").rglob("step-*.pt"))


def wait_for_step(tmp_path, step, process):
    """Wait until a checkpoint of that step or a later one is there."""
    for _ in range(6000):
        if any(saved >= step for saved in saved_steps(tmp_path)):
            return
        assert process.is_alive(), log(tmp_path, process)
        time.sleep(0.05)
    raise AssertionError("no checkpoint came")


@pytest.fixture
def uninterrupted(inputs, tmp_path):
    """The folder of the stage's model when nothing happens to it."""
    return train(inputs, tmp_path / "uninterrupted", **CHANGES)


def weights(folder):
    return [(folder / f"{name}.safetensors").read_bytes() for name in ("model", "best", "last")]


def test_whatever_stops_a_stage_the_bytes_are_the_same(uninterrupted, job, tmp_path):
    """kill -9, each signal that asks it to stop, and the end of a process for which another one waits."""
    model = tmp_path / "model"
    process = job()
    wait_for_step(tmp_path, 3, process)
    process.kill()
    assert end(process) == -signal.SIGKILL
    for step, number in ((6, signal.SIGTERM), (9, signal.SIGUSR1), (12, signal.SIGINT)):
        process = job()
        wait_for_step(tmp_path, step, process)
        os.kill(process.pid, number)
        assert end(process) == os.EX_TEMPFAIL and not model.exists()
        said = log(tmp_path, process)
        assert "resuming from the checkpoint of step" in said and f"{number.name} came at step" in said
    first = job(pause=1)
    wait_for_step(tmp_path, 15, first)
    second = job(pause=0)
    while "another process is training this stage" not in log(tmp_path, second):
        assert first.is_alive()
        time.sleep(0.05)
    first.kill()
    assert end(second) == 0
    assert weights(model) == weights(uninterrupted)
    record, expected = (json.loads((folder / "training.json").read_text()) for folder in (model, uninterrupted))
    assert record["interruptions"] == 5
    for name in ("loss", "validation", "pairs", "tokens", "exported", "moved_from_parent"):
        assert record[name] == expected[name]
    assert [path.name for path in (tmp_path / "state").glob("model*")] == ["model.lock"]


def test_a_signal_reaches_all_processes_that_train_together(job, tmp_path):
    """And one process can go on alone."""
    process = job(processes=2)
    wait_for_step(tmp_path, 3, process)
    process.terminate()
    assert end(process) == os.EX_TEMPFAIL
    stopped = saved_steps(tmp_path)[-1]
    alone = job(pause=0)
    assert end(alone) == 0
    assert f"resuming from the checkpoint of step {stopped} of {STEPS}" in log(tmp_path, alone)
    assert (tmp_path / "model" / "model.safetensors").exists()


def test_a_process_that_is_killed_among_those_that_train_together_is_named(job, tmp_path):
    process = job(processes=2)
    wait_for_step(tmp_path, 3, process)
    started = (Path("/proc") / str(process.pid) / "task" / str(process.pid) / "children").read_text().split()
    os.kill(int(started[-1]), signal.SIGKILL)
    assert end(process) == 1
    assert log(tmp_path, process).count("ERROR: process 1 of training.processes was ended by SIGKILL") == 1


def test_a_stage_that_was_finished_meanwhile_is_not_trained_again(inputs, tmp_path):
    model = train(inputs, tmp_path / "model") / "model.safetensors"
    written = model.stat().st_mtime_ns
    train(inputs, model.parent)
    assert model.stat().st_mtime_ns == written


def interrupted(inputs, output, at, **settings):
    """Stop the stage after so many steps: at a checkpoint, of which there is one every two steps and at validations."""
    really = Stage._train_step

    def stopping(self, chunks, stop):
        stop.name = "SIGTERM" if self.step + 1 == at else ""
        return really(self, chunks, stop)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(RunAgain, match=f"step {at} of {STEPS}"):
        patch.setattr(Stage, "_train_step", stopping)
        train(inputs, output, training=EVERY_STEP, **settings, **CHANGES)


def test_a_stage_with_an_adapter_goes_on_with_what_it_trains(inputs, tmp_path):
    settings = {"backbone": {"adapter": ADAPTER}}
    expected = train(inputs, tmp_path / "expected", **settings, **CHANGES)
    interrupted(inputs, tmp_path / "model", at=18, **settings)
    newest = max((tmp_path / "state").rglob("step-*.pt"))
    for part in ("model", "best"):
        saved = torch.load(newest)[part]
        assert saved and all("lora_" in name or "classifier" in name or "pooler" in name for name in saved)
    train(inputs, tmp_path / "model", **settings, **CHANGES)
    assert weights(tmp_path / "model") == weights(expected)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "all of them"])
def test_damaged_checkpoints_are_set_aside(inputs, uninterrupted, tmp_path, caplog, damage):
    """The one before goes on; where there is none left, the stage starts again."""
    output = tmp_path / "model"
    interrupted(inputs, output, at=9)
    first, second = sorted((tmp_path / "state").rglob("step-*.pt"))
    content = second.read_bytes()
    flipped = content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]
    second.write_bytes({"cut": content[:-100], "flipped": flipped}.get(damage, b""))
    if damage == "all of them":
        first.write_bytes(content)
    caplog.set_level("INFO", logger="jobs")
    train(inputs, output, training=EVERY_STEP, **CHANGES)
    assert weights(output) == weights(uninterrupted)
    assert ("checkpoint of step 7 of 30" in caplog.text) == (damage != "all of them")
    assert "is damaged and set aside" in caplog.text


def test_another_definition_does_not_go_on_from_this_one(inputs, tmp_path):
    interrupted(inputs, tmp_path / "model", at=4)
    changed = CHANGES | {"learning_rate": 2e-2}
    expected = train(inputs, tmp_path / "expected", **changed)
    train(inputs, tmp_path / "model", **changed)
    assert weights(tmp_path / "model") == weights(expected)
    assert json.loads((tmp_path / "model" / "training.json").read_text())["interruptions"] == 0
    assert not (tmp_path / "state" / "model").exists()


def test_a_stage_goes_on_in_other_memory(inputs, tmp_path, caplog):
    interrupted(inputs, tmp_path / "model", at=9)
    caplog.set_level("INFO", logger="jobs")
    train(inputs, tmp_path / "model", backbone={"tokens_per_batch": 40, "tokens_kept": 40, "packed": True}, **CHANGES)
    assert "resuming from the checkpoint of step 9" in caplog.text
    record = json.loads((tmp_path / "model" / "training.json").read_text())
    assert (
        record["run"]["memory"] == {"tokens_per_batch": 40, "tokens_kept": 40, "packed": True} and record["interruptions"] == 1
    )


def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch):
    def flock(descriptor, operation):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(InputError, match="without a lock two jobs could train one stage"), sole_writer(tmp_path / "stage"):
        raise AssertionError("no lock")
