"""The Zenodo ColBERTv2 run becomes the candidates of training groups.

    python -m benchmarks.ingestion [--rows 251469500 --ours-alone]

Writes a generated run in that file's exact format, `121352⇥0⇥2912791⇥1⇥25.984375⇥ColBERT`, 500 rows a query, over MS MARCO's
8,841,823 passages, and a second one of half the rows. Then, each time in a fresh process, reads it as the rule training_groups
does, with ids as rows of their tables, and as the original does: `pandas.read_csv` with ids as Python
strings, then groupby to a list for each query. Two sizes give the slope, and the slope the seconds and memory at full size.

The strings are of dtype object, as the original's pandas made of dtype=str. With what pandas 3 makes of it, groupby takes a
hundred times as long (512 s instead of 5 for 10 million rows, tried once).
"""

import argparse
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from benchmarks.timing import interleaved
from multistage.data.runs import COLUMNS, read_run
from multistage.data.tables import read_ids

DEPTH, PASSAGES, FULL = 500, 8_841_823, 251_469_500
# Query ids are below this.
QUERY_IDS = 1_185_869
QUERIES_AT_ONCE = 2_000


def write_ids(path: Path, ids: np.ndarray) -> None:
    """A table of ids."""
    pd.DataFrame({"id": ids.astype(str)}, dtype=str).to_parquet(path, index=False)


def write_generated_run(path: Path, count: int, *, passages: int = PASSAGES, seed: int = 0) -> None:
    """A run of random passages, each once for a query, with falling scores in steps of 1/64; and its queries, a table of ids.

    count: of queries. passages: how many there are, from 0. Of two seeds, none has a query of the other's.
    """
    generator = np.random.default_rng(seed)
    queries = generator.permutation(QUERY_IDS)[:count] + QUERY_IDS * seed
    write_ids(path.with_suffix(".queries.parquet"), np.sort(queries))
    ranks, stride = np.arange(DEPTH), passages // DEPTH
    plain = csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    with open(path, "wb") as stream:
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            names = queries[start : start + QUERIES_AT_ONCE]
            shape = (len(names), DEPTH)
            scores = np.floor(-np.sort(-generator.gamma(6, 1.6, shape), axis=1) * 64) / 64 + 8
            found = generator.permuted(ranks * stride + generator.integers(0, stride, shape), axis=1)
            zeros = pa.array(np.zeros(found.size, dtype=np.int32))
            columns = [
                *(np.repeat(names, DEPTH), zeros, found.ravel(), np.tile(ranks + 1, len(names)), scores.ravel()),
                pa.DictionaryArray.from_arrays(zeros, ["ColBERT"]).cast(pa.string()),
            ]
            csv.write_csv(pa.table(dict(zip(COLUMNS, columns, strict=True))), stream, plain)


def ours(run: Path, depth: int) -> int:
    """What the rule training_groups does first; the number of queries."""
    queries = read_ids(run.with_suffix(".queries.parquet"))
    found = read_run(run, depth, queries=queries, passages=read_ids(run.parent / "passages.parquet"))
    return found["query"].n_unique()


def original(run: Path) -> int:
    """What the original does; the number of queries."""
    table = pd.read_csv(run, sep="\t", header=None, names=COLUMNS, dtype={"query": object, "passage": object})
    return len(table.groupby("query")["passage"].apply(list).to_dict())


def measured(work: partial[int], queries: int) -> tuple[float, float]:
    """Seconds that a work takes, and the most megabytes of its process."""
    start = time.perf_counter()
    if (found := work()) != queries:
        sys.exit(f"{found} queries instead of {queries}")
    seconds = time.perf_counter() - start
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return seconds, int(status["VmHWM"].split()[0]) / 1024


def main() -> None:
    """Print rows a second, seconds and memory of both, and what they come to at full size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument(
        "--folder", type=Path, help="where the files are written, and removed at the end; default: a temporary one"
    )
    parser.add_argument("--depth", type=int, default=200, help="passages of a query that are kept")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--ours-alone", action="store_true", help="once, without the peer and without the second size")
    options = parser.parse_args()
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
    peaks: dict[str, float] = {}

    def in_fresh_process(name: str, work: partial[int], queries: int) -> float:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            seconds, peak = pool.submit(measured, work, queries).result()
        peaks[name] = max(peak, peaks.get(name, 0.0))
        return seconds

    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        write_ids(Path(folder) / "passages.parquet", np.arange(PASSAGES))
        sizes = [options.rows] if options.ours_alone else [options.rows // 2, options.rows]
        works = {}
        for rows in sizes:
            run = Path(folder) / f"{rows}.run"
            start = time.perf_counter()
            write_generated_run(run, rows // DEPTH)
            print(
                f"{rows:,} rows, {run.stat().st_size / 1e9:.2f} GB, written in {time.perf_counter() - start:.0f} s", flush=True
            )
            readers = {"ours": partial(ours, run, options.depth)} | (
                {} if options.ours_alone else {"original": partial(original, run)}
            )
            for reader, work in readers.items():
                name = f"{reader}, {rows:,} rows"
                works[name] = partial(in_fresh_process, name, work, rows // DEPTH)
        once = options.ours_alone
        seconds = interleaved(works, runs=1 if once else options.runs, warm_up=0 if once else 1)
    for name, value in seconds.items():
        rows = int(name.split(", ", 1)[1].split()[0].replace(",", ""))
        print(f"{name:<30}{value:8.2f} s {rows / value / 1e6:8.2f} million rows/s, peak memory {peaks[name]:,.0f} MB")
    if options.ours_alone:
        return
    small, large = sizes
    at_full_size = {}
    for reader in ("ours", "original"):
        names = [f"{reader}, {rows:,} rows" for rows in sizes]
        slope = (seconds[names[1]] - seconds[names[0]]) / (large - small)
        megabytes = (peaks[names[1]] - peaks[names[0]]) / (large - small)
        at_full_size[reader] = seconds[names[1]] + slope * (FULL - large)
        memory = peaks[names[1]] + megabytes * (FULL - large)
        print(
            f"{reader}: {1 / slope / 1e6:.2f} million rows/s by the slope; "
            f"{FULL:,} rows would take {at_full_size[reader]:,.0f} s and {memory / 1000:,.1f} GB"
        )
    by_size = seconds[f"original, {large:,} rows"] / seconds[f"ours, {large:,} rows"]
    by_slope = at_full_size["original"] / at_full_size["ours"]
    print(f"ours is {by_size:.1f} times as fast at {large:,} rows, {by_slope:.1f} times at {FULL:,}")


if __name__ == "__main__":
    main()
