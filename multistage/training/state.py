"""A stage in progress on disk: checkpoints to resume from, and the lock that keeps a second process out.

A state folder, unlike declared outputs, outlives the start of a job. In it is {key}/step-00000120.{digest}.pt, the stage after
so many steps. The key is a digest of all that defines the stage, the digest that of the file. Everything random is drawn from
(seed, step) and the learning rate is a function of the step, so that is all of the generators' and the schedule's state.
"""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing, sha256
from multistage.jobs.log import logger

KEPT = 2


@contextmanager
def sole_writer(folder: str | Path) -> Iterator[None]:
    """Hold the lock of a state folder, and wait for it while another process has it.

    That one may run on a node that the scheduler has lost sight of, and has started the stage again elsewhere. The lock is the
    kernel's (flock) and ends with its process. Across nodes it holds where the file system passes it on: NFS does, Lustre when
    mounted with `flock`. Raises InputError where there are no locks.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_suffix(".lock"), fallback_to_soft=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info("another process is training this stage; waiting for its end")
        lock.acquire()
    except OSError as error:
        raise InputError(f"{lock.lock_file}: {error.strerror}: without a lock two jobs could train one stage.") from error
    try:
        yield
    finally:
        lock.release()


def stage_key(**definition: Any) -> str:
    """A digest of what defines a stage: settings, seed, digests of inputs, versions."""
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:16]


class StageState:
    """The checkpoints of one stage, to be opened by the sole writer. Damaged ones are set aside."""

    _writing: Future[None] | None = None

    def __init__(self, folder: str | Path, key: str) -> None:
        self.folder, self._writer = Path(folder) / key, ThreadPoolExecutor(1)
        for path in self._newest_first():
            if path.stem.endswith(sha256(path)[:16]):
                break
            logger.warning(f"{path} is damaged and set aside; the checkpoint before it is used.")
            path.rename(path.with_suffix(".damaged"))

    def save(self, step: int, contents: dict[str, Any]) -> None:
        """Copy tensors and plain values to memory, and let a thread write them while training goes on."""
        self.wait()
        copied = io.BytesIO()
        torch.save(contents, copied)
        self._writing = self._writer.submit(self._write, step, copied.getbuffer())

    def wait(self) -> None:
        """Return when the last checkpoint is written. Raises what went wrong."""
        if self._writing:
            self._writing.result()

    def _write(self, step: int, content: memoryview) -> None:
        """Write the checkpoint of a step, then remove all but the last two."""
        digest = hashlib.sha256(content).hexdigest()[:16]
        with replacing(self.folder / "checkpoint.pt") as (partial,), open(partial, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        (self.folder / "checkpoint.pt").rename(self.folder / f"step-{step:08d}.{digest}.pt")
        for old in self._newest_first()[KEPT:]:
            old.unlink()

    def load(self) -> dict[str, Any] | None:
        """The contents of the newest checkpoint, on the CPU; None where there is none."""
        newest = self._newest_first()[:1]
        return torch.load(newest[0], map_location="cpu", weights_only=True) if newest else None

    def remove(self) -> None:
        """Remove the state folder with the checkpoints of every key: the stage's model is in place."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.pt"), reverse=True)
