"""Evaluating 4 benchmarks x 24 models x 2 first stages, runs of 7,000 queries x 100 passages.  python -m benchmarks.evaluation

From run files to tables: every measure of every query, then all intervals and tests. The runs are generated, MS MARCO's ids and
about its judgements (1.07 relevant passages a query); the four benchmarks read the same files. The peer, on single runs in the
same process: pandas.read_csv and ranx, whose Run is made of ids as strings.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from benchmarks.timing import interleaved
from multistage.config.evaluation import Evaluation
from multistage.evaluation.comparison import compare
from multistage.evaluation.judgements import read_judgements, read_ranking
from multistage.evaluation.measures import System, evaluate_runs, measure_ranking, write_values

MEASURES = ["nDCG@10", "nDCG@1", "nDCG@5", "AP", "RR@10", "R@100", "P@10", "judged@10"]
PEERS = ["ndcg@10", "ndcg@1", "ndcg@5", "map-l1", "mrr@10-l1", "recall@100-l1", "precision@10-l1"]
RECIPES = ["cl", "kd", "cl-kd", "kd-cl"]
DEPTH, PASSAGES = 100, 8_841_823


def main() -> None:
    """Print seconds by step, and the ratio to the peer on single runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=7000)
    parser.add_argument("--models", type=int, default=24, help="recipes x backbones x seeds, a multiple of 4")
    parser.add_argument("--benchmarks", type=int, default=4)
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        systems = [System(retriever, "", "first-stage", "") for retriever in ("bm25", "colbert")]
        for retriever in ("bm25", "colbert"):
            for number in range(options.models):
                recipe, rest = RECIPES[number % 4], number // 4
                systems.append(System(retriever, f"backbone{rest % 2}", recipe, str(42 + rest // 2)))
        runs = [f"{folder}/{number}.run" for number in range(len(systems))]
        stride = PASSAGES // DEPTH
        candidates = np.arange(DEPTH) * stride + generator.integers(0, stride, (options.queries, DEPTH))
        seconds("generating runs", lambda: write_runs(runs, candidates, generator))
        size = sum(Path(path).stat().st_size for path in runs) * options.benchmarks
        print(f"{len(runs) * options.benchmarks} runs, {size / 1e9:.1f} GB")
        qrels = f"{folder}/qrels.parquet"
        write_qrels(qrels, candidates, generator)
        ours, peer = one_run(runs[2], qrels), peer_run(runs[2], qrels)
        median = interleaved({"ours": ours, "peer": peer}, runs=3)
        print(
            f"one run: {median['ours']:.2f} s; pandas and ranx {median['peer']:.2f} s, {median['peer'] / median['ours']:.1f} x"
        )

        def evaluate() -> None:
            for number in range(options.benchmarks):
                output = f"{folder}/values{number}.parquet"
                values = evaluate_runs(systems, runs, qrels=qrels, measures=MEASURES, relevance=1, depth=None)
                write_values(values, output)

        def judge() -> None:
            values = {f"b{number}": pd.read_parquet(f"{folder}/values{number}.parquet") for number in range(options.benchmarks)}
            compare(values, Evaluation(baseline="cl"))

        whole = seconds("measures of all queries", evaluate) + seconds("intervals and tests", judge)
        print(f"together {whole:.1f} s")


def seconds(name: str, work: Callable[[], object]) -> float:
    """Do it, say how long it took, and return that."""
    start = time.perf_counter()
    work()
    taken = time.perf_counter() - start
    print(f"{name}: {taken:.1f} s", flush=True)
    return taken


def write_runs(paths: list[str], candidates: np.ndarray, generator: np.random.Generator) -> None:
    """Runs over the candidates, each in a random order of its own."""
    queries, depth = candidates.shape
    options = csv.WriteOptions(include_header=False, delimiter=" ", quoting_style="none")
    for path in paths:
        shuffled = generator.permuted(candidates, axis=1)
        scores = -np.sort(-generator.normal(size=candidates.shape), axis=1).astype(np.float32)
        columns = [np.arange(queries).repeat(depth), np.full(shuffled.size, "Q0"), shuffled.ravel()]
        columns += [np.tile(np.arange(1, depth + 1), queries), scores.ravel(), np.full(shuffled.size, "tag")]
        csv.write_csv(pa.table({str(number): pa.array(column) for number, column in enumerate(columns)}), path, options)


def write_qrels(path: str, candidates: np.ndarray, generator: np.random.Generator) -> None:
    """One relevant candidate a query, and for some another passage."""
    rows = [(str(query), str(line[generator.integers(DEPTH)]), 1) for query, line in enumerate(candidates)]
    rows += [(str(query), str(generator.integers(PASSAGES)), 1) for query in range(0, len(candidates), 14)]
    pd.DataFrame(rows, columns=["query", "passage", "grade"]).drop_duplicates().to_parquet(path, index=False)


def one_run(path: str, qrels: str) -> Callable[[], object]:
    """Measuring one run, as `evaluate_runs` does."""
    judgements = read_judgements(qrels, 1)
    return lambda: measure_ranking(read_ranking(path, judgements, 1000), judgements, MEASURES)


def peer_run(path: str, qrels: str) -> Callable[[], None]:
    """The same with pandas and ranx."""
    from ranx import Qrels, Run, evaluate

    names = {"query": "q_id", "passage": "doc_id", "grade": "score"}
    judged = Qrels.from_df(pd.read_parquet(qrels).rename(columns=names).astype({"q_id": object, "doc_id": object}))

    def work() -> None:
        columns = ["q_id", "zero", "doc_id", "rank", "score", "tag"]
        table = pd.read_csv(
            path, sep=" ", names=columns, dtype={"q_id": str, "doc_id": str}, usecols=["q_id", "doc_id", "score"]
        )
        evaluate(judged, Run.from_df(table.astype({"q_id": object, "doc_id": object})), PEERS, make_comparable=True)

    return work


if __name__ == "__main__":
    main()
