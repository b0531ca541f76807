"""Pre-trained models from the Hugging Face Hub, or from a mirror of it: a server, or a folder of models."""

import json
import logging
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from multistage.data.packed import check_entry
from multistage.jobs.errors import InputError
from multistage.jobs.files import remove, replacing, sha256
from multistage.sources.checkpoints import WEIGHTS, complete_tokenizer, is_checkpoint_file, require_model
from multistage.sources.checksums import Expected
from multistage.sources.downloads import download, is_busy
from multistage.sources.mirrors import mirrored, shown
from multistage.sources.partial import alone
from multistage.sources.patience import Patience
from multistage.sources.space import require_space

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

logger = logging.getLogger("jobs")
HUB = "https://huggingface.co"
# The Hub's own converter of pickles to safetensors. It opens a pull request, which many owners never merge.
CONVERTER = "SFconvertbot"
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Origin:
    """What a checkpoint was made from.

    hub: organisation/model. revision: the commit or branch that was asked for. taken: the revision that was taken: that one, or
    the pull request that has its weights as safetensors. commit: the commit found there, None in a mirror's folder.
    """

    hub: str
    revision: str
    taken: str
    commit: str | None
    licence: str


def fetch_model(
    hub: str, revision: str, licence: str, output: str | Path, mirrors: Mapping[str, str], patience: Patience | None = None
) -> None:
    """Fetch a model of the Hub to the folder `output`, with source.json, which says where it comes from and what it is.

    Only safetensors, JSON and vocabulary files are taken; where the revision has weights of another kind only, they come from
    the pull request of the Hub's own converter. tokenizer.json is made where there is none. What has come stays beside `output`
    when the job is killed, and the next attempt goes on from there. A mirror's folder holds organisation/model/files. The
    user's token goes to the Hub, where one is set up, and never to a mirror.
    Raises InputError when there is no such model, no safetensors, no config or no tokenizer, when a file is not what the Hub
    says, when the disk has too little space, and when the server cannot be reached.
    """
    output, patience = Path(output), patience or Patience()
    place = mirrored(f"{HUB}/{hub}", mirrors)
    start = time.perf_counter()
    with alone(output) as waited:
        if waited and output.is_dir():
            return
        # Beside the output, which Snakemake deletes when a job is killed.
        downloads = output.with_name(f".{output.name}.download")
        if isinstance(place, Path):
            origin, what = Origin(hub, revision, revision, None, licence), str(place)
            folder = _copy(place, hub, downloads / "folder")
        else:
            what = f"{hub} at {revision}"
            origin, folder = _download(_Repository(hub, mirrors, patience), revision, licence, downloads)
        require_model(folder, what)
        complete_tokenizer(folder, what)
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        record = asdict(origin) | {"files": {name: sha256(folder / name) for name in files}}
        (folder / "source.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        size = sum((folder / name).stat().st_size for name in files)
        with replacing(output) as (partial,):
            folder.rename(partial)
        remove(downloads)
    logger.info("%s: %d files, %s bytes in %.1f s", what, len(files), f"{size:,}", time.perf_counter() - start)


class _Repository:
    """A model's repository on the Hub, or on a server that stands in for it."""

    def __init__(self, hub: str, mirrors: Mapping[str, str], patience: Patience) -> None:
        from huggingface_hub import HfApi, constants, get_token

        # Telemetry asks the Hub itself, also where a mirror stands in for it.
        constants.HF_HUB_DISABLE_TELEMETRY = True
        # The user's own HF_ENDPOINT is a mirror, too.
        self.mirrors = {f"{HUB}/": f"{constants.ENDPOINT}/", **mirrors}
        endpoint = str(mirrored(f"{HUB}/{hub}", self.mirrors)).removesuffix(f"/{hub}")
        token = get_token() if endpoint == HUB else None
        self.account = {"Authorization": f"Bearer {token}"} if token else {}
        self.hub, self.patience = hub, patience
        self.api = HfApi(endpoint=endpoint, token=token or False)

    def files(self, revision: str) -> tuple[str, list["RepoSibling"]]:
        """The commit of a revision, and its files that are taken."""
        info = self.ask(lambda: self.api.model_info(self.hub, revision=revision, files_metadata=True), revision)
        files = [file for file in info.siblings or [] if is_checkpoint_file(file.rfilename)]
        for file in files:
            check_entry(self.hub, file.rfilename)
        # It names a folder.
        if info.sha is None or re.fullmatch(r"[0-9a-f]{40,64}", info.sha) is None:
            raise InputError(f"{self.hub} at {revision}: the server names no commit, so this is no Hub.")
        return info.sha, files

    def conversions(self) -> list[str]:
        """The converter's pull requests that are not closed, newest first."""
        requests = self.ask(lambda: list(self.api.get_repo_discussions(self.hub, author=CONVERTER)), "its pull requests")
        mine = [
            request
            for request in requests
            if request.is_pull_request and request.author == CONVERTER and request.status != "closed"
        ]
        return [f"refs/pr/{request.num}" for request in sorted(mine, key=lambda request: -request.num)]

    def fetch(self, file: "RepoSibling", commit: str, folder: Path) -> None:
        """Fetch and check one file, unless it is there."""
        output = folder / file.rfilename
        if output.is_file():
            return
        expected = Expected(
            sha256=None if file.lfs is None else file.lfs.sha256,
            bytes=file.size,
            said_by=f"what the Hub says of commit {commit}",
            remedy="give another revision",
        )
        address = f"{HUB}/{self.hub}/resolve/{commit}/{quote(file.rfilename)}"
        download(address, output, expected, self.mirrors, self.patience, self.account)

    def ask(self, question: Callable[[], Answer], what: str) -> Answer:
        """The answer to a question, asked again while the server is busy or out of reach. Raises InputError without one."""
        from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

        failures = 0
        while True:
            try:
                return question()
            except (httpx.HTTPError, OSError, ValueError, KeyError) as error:
                failures += 1
                said = " ".join(shown(str(error)).split()) or type(error).__name__
                passing, retry_after = _passing(error)
                if not passing or failures >= self.patience.attempts:
                    times = f", {failures} times" if passing else ""
                    raise InputError(
                        f"{self.hub}: {what} cannot be fetched{times}. {said} Correct the model or its revision in the config, "
                        "or give a mirror there; `hf auth login` opens models that ask for an account."
                    ) from error
            seconds = self.patience.seconds(failures, retry_after)
            logger.info("%s: %s: %s; trying again in %.1f s", self.hub, what, said, seconds)
            self.patience.sleep(seconds)


def _passing(error: Exception) -> tuple[bool, str | None]:
    """Whether an error of the Hub may pass, and the server's Retry-After."""
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    if isinstance(error, HfHubHTTPError):
        return is_busy(error.response.status_code), error.response.headers.get("Retry-After")
    return isinstance(error, httpx.TransportError), None


def _download(repository: _Repository, revision: str, licence: str, downloads: Path) -> tuple[Origin, Path]:
    """Fetch a revision with its weights as safetensors to a folder of `downloads`."""
    taken, commit, files = _with_safetensors(repository, revision)
    size = sum(file.size or 0 for file in files)
    logger.info("%s at %s, commit %s: %d files, %s bytes", repository.hub, taken, commit, len(files), f"{size:,}")
    for other in downloads.glob("*"):
        if other.name != commit:
            remove(other)
    folder = downloads / commit
    folder.mkdir(parents=True, exist_ok=True)
    here = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    require_space(downloads, size - here, repository.hub)
    for file in files:
        repository.fetch(file, commit, folder)
    wanted = {file.rfilename for file in files}
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in wanted:
            remove(path)
    return Origin(repository.hub, revision, taken, commit, licence), folder


def _with_safetensors(repository: _Repository, revision: str) -> tuple[str, str, list["RepoSibling"]]:
    """The revision that is taken, its commit and its files: the one asked for, or its conversion to safetensors."""
    commit, files = repository.files(revision)
    names = [file.rfilename for file in files]
    if WEIGHTS in names:
        return revision, commit, files
    if f"{WEIGHTS}.index.json" in names:
        raise InputError(
            f"{repository.hub} at {revision}: its weights are in several files; only models with one {WEIGHTS} are taken."
        )
    for conversion in repository.conversions():
        commit, files = repository.files(conversion)
        if WEIGHTS in [file.rfilename for file in files]:
            logger.info("%s at %s has no %s: taking %s, by %s", repository.hub, revision, WEIGHTS, conversion, CONVERTER)
            return conversion, commit, files
    raise InputError(
        f"{repository.hub} at {revision}: there is no {WEIGHTS}, nor a pull request of {CONVERTER} with one. Only safetensors "
        "are taken: convert the model, and give your own revision or a folder as a mirror."
    )


def _copy(place: Path, hub: str, folder: Path) -> Path:
    """Copy a model from a mirror's folder."""
    if not place.is_dir():
        raise InputError(f"{hub}: the mirror in the config is a folder, and there is no folder {place}.")
    logger.info("copying %s from %s", hub, place)
    remove(folder)
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place)
        if path.is_file() and is_checkpoint_file(name.name) and not name.parts[0].startswith("."):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
    return folder
