"""A stage in progress on disk: checkpoints to resume from, and the lock that keeps a second process out.

A state folder is undeclared to the workflow, which deletes declared outputs before a job starts. In it:

    {key}/step-00000120.safetensors   parameters and AdamW's two moments of each, after that many steps
    {key}/step-00000120.json          its SHA-256 and the stage's record; written last: a checkpoint without it does not count
    {key}/best-00000090.safetensors   the parameters that validated best, named in the record

The key is a digest of all that defines the stage. Everything random is drawn from (seed, step) and the learning rate is a
function of the step, so the position is all of the generators' and the schedule's state.
"""

import errno
import hashlib
import json
import logging
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from multistage.jobs.errors import InputError
from multistage.jobs.files import apply_umask, sha256

logger = logging.getLogger("jobs")
KEPT = 2
# Seconds that another writer has to save its checkpoint and stop; between two looks whether anyone asks for that.
PATIENCE = 600.0
SECONDS_BETWEEN_LOOKS = 1.0

Tensors = dict[str, Tensor]


@contextmanager
def sole_writer(folder: str | Path, patience: float = PATIENCE) -> Iterator[bool]:
    """Hold the lock of a state folder; gives whether another process had it first.

    That one is asked to save and stop: it may run on a node that the scheduler has lost sight of, and has started the stage
    again elsewhere. Raises InputError, naming the holder, when it does not give way within `patience` seconds, or where the
    file system has no locks. The lock is the kernel's (flock) and ends with the process, however that ends. Across nodes it
    holds where the file system passes it on: NFS does, Lustre when mounted with `flock`.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    owner, request = folder.with_suffix(".owner"), folder.with_suffix(".handover")
    myself = f"process {os.getpid()} on {socket.gethostname()}"
    lock = FileLock(folder.with_suffix(".lock"), fallback_to_soft=False)
    waited = False
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waited = True
        holder = owner.read_text() if owner.exists() else "another process"
        logger.info("%s is training this stage; it is asked to save and stop", holder)
        request.write_text(myself)
        try:
            lock.acquire(timeout=patience)
        except Timeout as error:
            request.unlink(missing_ok=True)
            raise InputError(f"{folder}: {holder} is training this stage; wait for it or stop it.") from error
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
            raise
        raise InputError(
            f"{folder}: the file system has no locks (flock: {error.strerror}), so two jobs could train one stage."
        ) from error
    try:
        request.unlink(missing_ok=True)
        owner.write_text(myself)
        yield waited
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def stage_key(**definition: Any) -> str:
    """A digest of what defines a stage: settings, seed, digests of inputs, versions."""
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:16]


class StageState:
    """The checkpoints of one stage."""

    def __init__(self, folder: str | Path, key: str) -> None:
        self.folder = Path(folder) / key
        self._request, self._looked = Path(folder).with_suffix(".handover"), 0.0

    def handover_asked(self) -> bool:
        """Whether another process asks for this stage; looks at the file system at most once a second."""
        now = time.monotonic()
        if now - self._looked < SECONDS_BETWEEN_LOOKS:
            return False
        self._looked = now
        return self._request.exists()

    def save(self, step: int, tensors: Tensors, record: dict[str, Any]) -> None:
        """Write the checkpoint of a step, then remove all but the last two and what they name."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"step-{step:08d}.safetensors"
        description = {"step": step, "sha256": self._write(path, tensors), "record": record}
        partial = path.with_suffix(".json.partial")
        partial.write_text(json.dumps(description))
        _move(partial, path.with_suffix(".json"))
        self._prune()

    def save_best(self, step: int, tensors: Tensors) -> dict[str, str]:
        """Write the best parameters so far; returns their file's name and digest, for the record of the next `save`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"best-{step:08d}.safetensors"
        return {"file": path.name, "sha256": self._write(path, tensors)}

    def load(self) -> tuple[int, Tensors, dict[str, Any]] | None:
        """The newest checkpoint that is whole: (step, tensors, record); None when there is none."""
        for description in self._newest_first():
            tensors = description.with_suffix(".safetensors")
            try:
                saved = json.loads(description.read_text())
                files = [(tensors, saved["sha256"])]
                if best := saved["record"]["best_weights"]:
                    files.append((self.folder / best["file"], best["sha256"]))
                for path, expected in files:
                    if sha256(path) != expected:
                        raise ValueError(f"{path.name} does not have its recorded SHA-256")
            except (OSError, ValueError, KeyError, TypeError) as error:
                logger.warning("%s is damaged (%s); the checkpoint before it is used.", tensors, error)
                continue
            return saved["step"], load_file(tensors), saved["record"]
        return None

    def load_best(self, weights: dict[str, str]) -> Tensors:
        """What `save_best` wrote; raises InputError when it has changed since."""
        path = self.folder / weights["file"]
        if not path.is_file() or sha256(path) != weights["sha256"]:
            raise InputError(f"{path}: damaged or deleted since it was written; delete {self.folder} and run again.")
        return load_file(path)

    def remove(self) -> None:
        """Remove the state folder with the checkpoints of every key: the stage's model is in place."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.json"), reverse=True)

    def _write(self, path: Path, tensors: Tensors) -> str:
        partial = path.with_suffix(".partial")
        try:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial)
        except SafetensorError as error:
            if "No space left on device" not in str(error):
                raise
            partial.unlink(missing_ok=True)
            raise InputError(
                f"{path}: No space left on device. Make room; the stage resumes from its last checkpoint."
            ) from error
        digest = sha256(partial)
        _move(partial, path)
        return digest

    def _prune(self) -> None:
        kept = self._newest_first()[:KEPT]
        names = {path.with_suffix(suffix).name for path in kept for suffix in (".json", ".safetensors")}
        for path in kept:
            try:
                names.add(json.loads(path.read_text())["record"]["best_weights"]["file"])
            except (ValueError, KeyError, TypeError):
                continue  # damaged, or no best yet
        for path in self.folder.iterdir():
            if path.name not in names:
                path.unlink()


def _move(partial: Path, path: Path) -> None:
    """Move a file into place once its bytes are on the disk."""
    apply_umask(partial)
    with open(partial, "rb") as stream:
        os.fsync(stream.fileno())
    os.replace(partial, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
