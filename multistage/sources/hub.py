"""Pre-trained models from the Hugging Face Hub, by its own library: its cache, token, endpoint and offline mode apply."""

from collections.abc import Iterator
from pathlib import Path

from multistage.jobs.errors import InputError, without_secrets
from multistage.jobs.files import sha256
from multistage.jobs.log import logger

# The Hub's own converter of pickles to safetensors. It opens a pull request, which many owners never merge.
CONVERTER = "SFconvertbot"
WEIGHTS = "model.safetensors"
# What is taken of a model; artifact.metadata is ColBERT's own settings.
MODEL_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "artifact.metadata"]


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
            if (folder / WEIGHTS).is_file():
                break
    except Exception as error:  # the library and its HTTP client share no base class
        said = without_secrets(" ".join(str(error).split()))
        raise InputError(
            f"{hub}: {revision} could not be downloaded from the Hugging Face Hub. {said} Check the "
            "model and its revision in the config; `hf auth login` opens models that ask for an account."
        ) from error
    if not (folder / WEIGHTS).is_file():
        raise InputError(
            f"{hub} at {revision} has no {WEIGHTS}, nor has a pull request of {CONVERTER}. Only safetensors are loaded: "
            "convert the model, and give its folder as `path`."
        )
    for path in folder.rglob("*.safetensors"):
        blob = path.resolve()
        # The cache names large files by the SHA-256 that the Hub states.
        if len(blob.name) == 64 and sha256(blob) != blob.name:
            blob.unlink()
            raise InputError(
                f"{hub} at {revision}: {path.name} was damaged on its way, and was deleted from {folder}. Run again."
            )
    logger.info("%s at %s: commit %s", hub, taken, folder.name)
    return folder, taken


def _revisions(hub: str, revision: str) -> Iterator[str]:
    """A revision, and then the converter's pull requests that are not closed, newest first."""
    from huggingface_hub import HfApi

    yield revision
    found = HfApi().get_repo_discussions(hub, author=CONVERTER, discussion_type="pull_request")
    numbers = [request.num for request in found if request.author == CONVERTER and request.status != "closed"]
    for number in sorted(numbers, reverse=True):
        logger.info("%s at %s has no %s: trying pull request %d by %s", hub, revision, WEIGHTS, number, CONVERTER)
        yield f"refs/pr/{number}"
