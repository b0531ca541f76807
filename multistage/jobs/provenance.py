"""What a result was made from: package versions and digests of inputs."""

import json
import platform
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from multistage.jobs.files import sha256, write_texts

PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy")


def versions(*more: str) -> dict[str, str]:
    """Versions of Python and of the packages that decide a model's bytes. more: packages that only this one is made with."""
    return {"python": platform.python_version()} | {name: version(name) for name in (*PACKAGES, *more)}


def digests(**inputs: str | Path) -> dict[str, str]:
    """SHA-256 of each named input file."""
    return {name: sha256(path) for name, path in inputs.items()}


def cached_digest(path: str | Path, cache: str | Path = "results/sources/digests.json") -> str | None:
    """SHA-256 of a file, None where there is none.

    A file of any size is read once: `cache` holds digests by path, with the size, times and inode that the file had then.
    """
    if not (file := Path(path)).is_file():
        return None
    known: dict[str, list[int | str]] = {}
    with suppress(OSError, ValueError):
        known = json.loads(Path(cache).read_text(encoding="utf-8"))
    state = file.stat()
    stamp = [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]
    digest, *read_at = known.get(str(path), [""])
    if read_at != stamp:
        digest = sha256(path)
        with suppress(OSError, ValueError):  # a dry run may be in a folder that cannot be written
            write_texts({cache: json.dumps(known | {str(path): [digest, *stamp]}, indent=1) + "\n"})
    return str(digest)
