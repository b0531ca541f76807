"""Files that are whole or absent: everything is written under a temporary name and moved into place. What they are made of:
package versions, and digests of inputs."""

import glob
import hashlib
import json
import os
import platform
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from multistage.jobs.errors import InputError, system_refusal

TEMPORARY = ".partial"
# Those that decide a model's bytes.
PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy")


@contextmanager
def replacing(*targets: str | Path) -> Iterator[list[Path]]:
    """Temporary names for `targets`, moved into place together when the block ends, removed when it raises.

    A temporary name is in the folder of its target, so that the move is a rename, and keeps its suffix. The caller may create
    a file or a folder there. All targets must have been written; the last one is moved last. Modes are those of the umask.

    The names are this process's own. Those that other processes left are removed: if two jobs write one target (the first on a
    node that the scheduler has lost), the later one wins and the other fails; their bytes never mix.
    """
    final = [Path(target) for target in targets]
    writer = f"by-{socket.gethostname()}-{os.getpid()}"
    partial = [path.with_name(f".{path.stem}.{writer}{TEMPORARY}{path.suffix}") for path in final]
    try:
        for path in final:
            path.parent.mkdir(parents=True, exist_ok=True)
            for dots in (".", ".."):  # two where a block is inside of another
                for left in path.parent.glob(f"{dots}{glob.escape(path.stem)}.by-*{TEMPORARY}{glob.escape(path.suffix)}"):
                    remove(left)
        yield partial
        for source, target in zip(partial, final, strict=True):
            apply_umask(source)
            if target.is_dir():
                remove(target)
            os.replace(source, target)
    except InputError:
        raise
    except Exception as error:
        refusal = system_refusal(error, final[0])
        if refusal is None:
            raise
        message = str(refusal)
        for source, target in zip(partial, final, strict=True):
            message = message.replace(str(source), str(target))
        raise InputError(message) from error
    finally:
        for path in partial:
            with suppress(OSError):  # what cannot be written is not there
                remove(path)


@contextmanager
def readable(path: str | Path) -> Iterator[None]:
    """Reading a file that the workflow has made, with whatever library: what it raises in the block becomes an InputError.

    Raise ValueError in the block where what was read is not what the file must hold.
    """
    try:
        yield
    except (InputError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic of Rust code is not an Exception
        if refusal := system_refusal(error, path):
            raise refusal from error
        reason = " ".join(str(error).split()).rstrip(".")[:200] or "nothing can be read"
        raise InputError(f"{path}: the file is damaged ({reason}). Delete it, and the next run makes it again.") from error


def read_json(path: str | Path, *keys: str) -> dict[str, Any]:
    """The JSON object in a file that the workflow has made; `keys` must be in it."""
    with readable(path):
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(content, dict) or (lacking := [key for key in keys if key not in content]):
            raise ValueError(f"it lacks {', '.join(lacking)}" if isinstance(content, dict) else "not a JSON object")
        return content


def write_texts(texts: Mapping[str | Path, str]) -> None:
    """Write text files, by path, as `replacing` does."""
    with replacing(*texts) as files:
        for file, text in zip(files, texts.values(), strict=True):
            file.write_text(text, encoding="utf-8")


@contextmanager
def scratch(folder: str | Path) -> Iterator[Path]:
    """An empty folder inside `folder`, removed when the block ends; what a killed job left there is removed first."""
    path = Path(folder) / TEMPORARY
    remove(path)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        remove(path)


def apply_umask(path: Path) -> None:
    """Give a file, or all in a folder, the mode of new files; some libraries write files that only the owner can read."""
    umask = os.umask(0)
    os.umask(umask)
    for entry in [path, *path.rglob("*")] if path.is_dir() else [path]:
        if not entry.is_symlink():
            entry.chmod((entry.stat().st_mode | (0o777 if entry.is_dir() else 0o666)) & ~umask & 0o777)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
    with suppress(InputError):  # it is not there yet, or damaged
        known = read_json(cache)
    state = file.stat()
    stamp = [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]
    digest, *read_at = known.get(str(path), [""])
    if read_at != stamp:
        digest = sha256(path)
        with suppress(OSError, ValueError):  # a dry run may be in a folder that cannot be written
            write_texts({cache: json.dumps(known | {str(path): [digest, *stamp]}, indent=1) + "\n"})
    return str(digest)
