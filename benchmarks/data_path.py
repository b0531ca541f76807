"""The data path alone, at MS MARCO's full size.  python -m benchmarks.data_path

Writes, in a process of its own, a generated training set of 502,939 queries with 500 candidates each (251,469,500 rows) and
a token store of 8.84 million passages of MS MARCO's lengths: 3.2 GB in a temporary folder. Then draws groups of 100 and puts
them together as model inputs, on one core, and watches memory: what is private to the process must stay flat; mapped pages of
the files come on top and are the system's to take back.
"""

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from multistage.data.sampling import Groups, GroupSampler
from multistage.data.tokens import Pairs, PairTemplate, StoreFiles, TokenStore
from multistage.scoring.scoring import by_token_budget

BERT = PairTemplate(ids=[101, 0, 102, 0, 102], query=1, passage=3, types=[0, 0, 0, 1, 1], pad=0)


def write_store(files: StoreFiles, *, texts: int, mean: float, spread: float, longest: int) -> None:
    """A store of random ids, whose lengths are lognormal."""
    generator = np.random.default_rng(0)
    lengths = np.clip(generator.lognormal(mean, spread, texts), 2, longest).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.lib.format.open_memmap(files.ids, mode="w+", dtype=np.uint16, shape=(int(offsets[-1]),))
    for start in range(0, len(ids), 10_000_000):
        ids[start : start + 10_000_000] = generator.integers(1000, 30_000, len(ids[start : start + 10_000_000]))
    np.save(files.offsets, offsets)
    Path(files.description).write_text(json.dumps({"vocabulary_sha256": "", "texts": texts, "tokens": len(ids)}))


def write_all(
    groups: str, queries_store: StoreFiles, passages_store: StoreFiles, *, queries: int, depth: int, passages: int
) -> None:
    """The training set and both stores."""
    write_store(queries_store, texts=queries, mean=2.0, spread=0.4, longest=60)
    write_store(passages_store, texts=passages, mean=4.25, spread=0.4, longest=400)
    candidates = np.random.default_rng(0).integers(0, passages, (queries, depth + 1), dtype=np.int32)
    grades = np.full(candidates.shape, -1, dtype=np.int16)
    grades[:, 0] = 1
    Groups(np.arange(queries, dtype=np.int32), candidates, grades).write(groups)


def memory_mb() -> tuple[float, float]:
    """Megabytes of this process that are its own, and mapped from files."""
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    own, mapped = (int(status[key].split()[0]) / 1024 for key in ("RssAnon", "RssFile"))
    return own, mapped


def main() -> None:
    """Print groups a second and memory as it goes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=502_939)
    parser.add_argument("--depth", type=int, default=500)
    parser.add_argument("--passages", type=int, default=8_841_823)
    parser.add_argument("--group-size", type=int, default=100)
    parser.add_argument("--steps", type=int, default=500, help="of 16 groups")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        groups = f"{folder}/groups.safetensors"
        stores = [StoreFiles(*(f"{folder}/{name}.{part}" for part in ("ids", "offsets.npy", "json"))) for name in "qp"]
        writer = multiprocessing.get_context("spawn").Process(
            target=write_all,
            args=(groups, *stores),
            kwargs={"queries": options.queries, "depth": options.depth, "passages": options.passages},
        )
        writer.start()
        writer.join()
        print(f"{options.queries * options.depth:,} candidate rows, {options.passages:,} passages")
        before = memory_mb()
        opened = [TokenStore.open(files) for files in stores]
        pairs = Pairs(opened[0], opened[1], BERT, max_length=256, max_query_length=64)
        sampler = GroupSampler(Groups.read(groups), contrast=True, size=options.group_size, queries_per_step=16, seed=42)
        print(f"opened: {memory_mb()[0] - before[0]:.1f} MB of its own")
        rates = []
        for step in range(options.steps):
            start = time.perf_counter()
            batch = sampler.step(step)
            for part in by_token_budget(pairs.total_lengths(batch.query_rows, batch.passage_rows), 16_384):
                pairs.batch(batch.query_rows[part], batch.passage_rows[part])
            rates.append(16 / (time.perf_counter() - start))
            if (step + 1) % (options.steps // 5) == 0:
                own, mapped = memory_mb()
                recent = statistics.median(rates[-options.steps // 5 :])
                print(f"step {step + 1}: {recent:,.0f} groups/s; {own - before[0]:.1f} MB of its own, {mapped:,.0f} MB mapped")


if __name__ == "__main__":
    main()
