"""Collections of the ir_datasets library, read from files that were downloaded as sources.

ir_datasets keeps everything in one home folder. A job gives it a home of its own, with the sources in the places where it
looks for its downloads, so that it fetches only what is not among them; the home is removed at the end.
"""

import logging
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from multistage.data.packed import GZIP, open_binary
from multistage.data.query_sets import QuerySet
from multistage.jobs.errors import InputError
from multistage.jobs.files import remove

logger = logging.getLogger("jobs")


class Dataset:
    """A dataset of ir_datasets, with whatever goes wrong in reading it as an InputError that names it.

    name: its id, such as msmarco-passage/dev/small. sources: the files it is read from.
    """

    def __init__(self, name: str, sources: Sequence[str | Path], loaded: Any) -> None:
        self.name, self.sources, self.loaded = name, sources, loaded

    def passages(self) -> Iterator[tuple[str, str]]:
        """(id, text) of its documents, the title before the text where there is one."""
        for document in self._records("docs"):
            yield document.doc_id, document.default_text().strip()

    def passage_count(self) -> int | None:
        """How many documents there should be, as far as ir_datasets knows."""
        count: int | None = self.loaded.docs_count() if self.loaded.has_docs() else None
        return count

    def query_set(self) -> QuerySet:
        """Its queries and judgements, with grades as they are, also below 0."""
        return QuerySet(
            ((query.query_id, query.default_text().strip()) for query in self._records("queries")),
            ((judgement.query_id, judgement.doc_id, judgement.relevance) for judgement in self._records("qrels")),
        )

    def _records(self, kind: str) -> Iterator[Any]:
        if not self.loaded.has(kind):
            raise InputError(f"ir_datasets: {self.name} has no {kind}; give the id of one of its parts.")
        try:
            yield from getattr(self.loaded, f"{kind}_iter")()
        # The library raises whatever its archives, parsers and downloads raise.
        except Exception as error:
            files = ", ".join(map(str, self.sources)) or "no source"
            raise InputError(
                f"ir_datasets could not read the {kind} of {self.name} ({type(error).__name__}: {error}). It had {files} and "
                "downloads the rest; a file that is damaged is fetched again when it is deleted."
            ) from error


@contextmanager
def open_dataset(
    name: str, sources: Sequence[str | Path], places: Sequence[str | None], folder: str | Path
) -> Iterator[Dataset]:
    """The dataset `name`, with each of the sources at its place, a path in the home of ir_datasets.

    folder: where that home is made; removed at the end. A place that does not end in .gz gets a gzip file unpacked, for what
    ir_datasets keeps so. One dataset in a process, for ir_datasets sets its home once.
    Raises InputError: a dataset that ir_datasets does not know, a source without a place, a place outside the home.
    """
    if "ir_datasets" in sys.modules:
        raise RuntimeError("ir_datasets is imported already, with another home.")
    home = Path(folder).resolve()
    remove(home)
    home.mkdir(parents=True)
    # Of its progress: the seconds between two lines.
    os.environ |= {"IR_DATASETS_HOME": str(home), "IR_DATASETS_TMP": str(home / "tmp"), "TQDM_MININTERVAL": "10"}
    try:
        with _no_answers():
            loaded = _load(name)
            for source, place in zip(sources, places, strict=True):
                _put(source, place, home)
            logger.info("%s: in place are %s; ir_datasets downloads the rest", name, ", ".join(map(str, places)) or "no files")
            yield Dataset(name, sources, loaded)
    finally:
        remove(home)


@contextmanager
def _no_answers() -> Iterator[None]:
    """Some datasets ask for a password on the terminal: there is no one to answer, and they fail instead of waiting."""
    before = sys.stdin
    with open(os.devnull) as sys.stdin:
        try:
            yield
        finally:
            sys.stdin = before


def _load(name: str) -> Any:
    import ir_datasets  # type: ignore[import-untyped]

    try:
        loaded = ir_datasets.load(name)
    except KeyError as error:
        near = get_close_matches(name, list(ir_datasets.registry), n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else "."
        raise InputError(f"ir_datasets: there is no dataset {name!r}{hint}") from error
    # The first use of some parts removes files of an older layout, which must not be those that are put in place.
    for kind in ("docs", "queries", "qrels"):
        if loaded.has(kind):
            getattr(loaded, f"{kind}_cls")()
    return loaded


def _put(source: str | Path, place: str | None, home: Path) -> None:
    if place is None:
        raise InputError(f"{source}: a source of an ir_datasets collection needs a place, where ir_datasets looks for it.")
    target = home / place
    if not Path(os.path.normpath(target)).is_relative_to(home):
        raise InputError(f"{source}: its place {place} is outside the home of ir_datasets.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(source, "rb") as stream:
        packed = stream.read(len(GZIP)) == GZIP
    if not packed or place.endswith(".gz"):
        target.symlink_to(Path(source).resolve())
        return
    with open_binary(source) as unpacked, open(target, "wb") as plain:
        shutil.copyfileobj(unpacked, plain)
