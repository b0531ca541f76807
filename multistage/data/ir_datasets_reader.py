"""Collections of the ir_datasets library, which downloads what it knows to its home (IR_DATASETS_HOME, ~/.ir_datasets)."""

import os
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

import polars as pl
from filelock import FileLock

from multistage.data.tables import QRELS, QuerySet
from multistage.jobs.errors import InputError
from multistage.jobs.log import logger


class Dataset:
    """A dataset of ir_datasets, with whatever goes wrong in reading it as an InputError that names it.

    name: its id, such as msmarco-passage/dev/small. Raises InputError for one that ir_datasets does not know.
    """

    def __init__(self, name: str) -> None:
        import ir_datasets  # type: ignore[import-untyped]

        self.name, self.home = name, ir_datasets.util.home_path()
        try:
            self.loaded: Any = ir_datasets.load(name)
        except KeyError as error:
            near = get_close_matches(name, list(ir_datasets.registry), n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else "."
            raise InputError(f"ir_datasets does not know the dataset {name!r}{hint}") from error

    def download(self) -> None:
        """Have its documents, queries and judgements downloaded, one dataset at a time: many share a file."""
        with FileLock(self.home / "multistage.lock"), open(os.devnull) as sys.stdin:  # no password can be asked for
            for kind in ("docs", "queries", "qrels"):
                if self.loaded.has(kind):
                    next(self._records(kind), None)
        logger.info(f"{self.name}: complete in {self.home}")

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
        judgements = [(judgement.query_id, judgement.doc_id, judgement.relevance) for judgement in self._records("qrels")]
        queries = ((query.query_id, query.default_text().strip()) for query in self._records("queries"))
        return QuerySet(queries, pl.DataFrame(judgements, QRELS, orient="row"))

    def _records(self, kind: str) -> Iterator[Any]:
        if not self.loaded.has(kind):
            raise InputError(f"ir_datasets: {self.name} has no {kind}; give the id of one of its parts.")
        try:
            yield from getattr(self.loaded, f"{kind}_iter")()
        # The library raises whatever its archives, parsers and downloads raise.
        except Exception as error:
            raise InputError(
                f"ir_datasets could not read the {kind} of {self.name} ({type(error).__name__}: {error}). Its files are in "
                f"{self.home} (IR_DATASETS_HOME); delete a damaged one to have it downloaded again."
            ) from error
