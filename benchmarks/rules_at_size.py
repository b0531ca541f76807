"""Memory and time of each rule at 8,841,823 passages and 500,000 training queries.  python -m benchmarks.rules_at_size

Runs the workflow on generated files of MS MARCO's shape, at a fortieth and at a tenth of its size: passages of about 56 words,
training queries with 500 candidates each, 6,980 queries to evaluate with 500, 50 of which are re-ranked. Of each rule the
longest job and the largest memory count; two sizes give the slope, and the slope what it takes at full size. The model has few
steps to train, and rules that encode are left out: their time and memory are a GPU's.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from benchmarks.ingestion import PASSAGES, write_generated_run
from benchmarks.texts import REPOSITORY
from benchmarks.time_by_rule import jobs_of
from multistage.data.tables import read_ids

TRAINING_QUERIES, QUERIES, SHARES = 500_000, 6_980, (0.025, 0.1)
TARGETS = ["all", "results/runs/both/train.run", "results/collections/msmarco/found.queries.parquet"]
TEXTS_AT_ONCE = 50_000


def write_texts(path: Path, ids: np.ndarray, words: float, seed: int) -> None:
    """Lines of id, tab, and about as many words, of which some are frequent."""
    generator = np.random.default_rng(seed)
    vocabulary = np.array([f"{a}{b}{c}" for a in ("ba", "ce", "di", "fo") for b in ("ran", "sel", "tor") for c in range(500)])
    with open(path, "w", encoding="utf-8") as stream:
        for start in range(0, len(ids), TEXTS_AT_ONCE):
            names = ids[start : start + TEXTS_AT_ONCE]
            lengths = np.clip(generator.lognormal(np.log(words), 0.4, len(names)), 2, 400).astype(int)
            drawn = vocabulary[np.minimum(generator.zipf(1.3, lengths.sum()), len(vocabulary)) - 1]
            texts = np.split(drawn, np.cumsum(lengths)[:-1])
            stream.writelines(f"{name}\t{' '.join(text)}\n" for name, text in zip(names, texts, strict=True))


def write_all(folder: Path, share: float, words: float, checkpoint: Path) -> None:
    """The files of a share of the full size, with passages of about so many words, and a config of them."""
    passages = int(PASSAGES * share)
    write_texts(folder / "passages", np.arange(passages), words=words, seed=0)
    sizes = {"train": int(TRAINING_QUERIES * share), "validation": 200, "dev": int(QUERIES * share)}
    for seed, (name, count) in enumerate(sizes.items(), start=1):
        run = folder / f"{name}.run"
        write_generated_run(run, count, passages=passages, seed=seed)
        ids = read_ids(run.with_suffix(".queries.parquet"))
        write_texts(folder / f"{name}.queries", ids.to_numpy(), words=6, seed=seed)
        relevant = np.random.default_rng(seed).integers(0, passages, count)
        qrels = "".join(f"{query} 0 {passage} 1\n" for query, passage in zip(ids, relevant, strict=True))
        (folder / f"{name}.qrels").write_text(qrels)
    files = ["passages", *(f"{name}.{kind}" for name in sizes for kind in ("queries", "qrels", "run"))]
    few = {"steps": 4, "epochs": None, "validate_every": 2, "queries_per_step": 4, "group_size": 8}
    config = {
        "experiment": "sizes",
        "sources": {file.replace(".", "-"): {"path": str(folder / file), "licence": "generated"} for file in files},
        "checkpoints": {"model": {"path": str(checkpoint.resolve()), "licence": "any"}},
        "collections": {"msmarco": {"kind": "local", "passages": "passages"}},
        "querysets": {
            name: {"collection": "msmarco", "queries": f"{name}-queries", "qrels": f"{name}-qrels", "relevance": 1}
            for name in sizes
        }
        | {"found": {"kind": "found", "collection": "msmarco", "queryset": "train", "retriever": "given", "depth": 100}},
        "retrievers": {
            "given": {"kind": "run", "runs": {name: f"{name}-run" for name in sizes}, "depth": 500},
            "first": {"kind": "run", "runs": {"train": "train-run"}, "depth": 100},
            "both": {"kind": "fusion", "retrievers": ["given", "first"], "depth": 100},
        },
        "backbones": {"tiny": {"checkpoint": "model", "tokenizer": "model", "max_length": 64}},
        "objectives": {"cl": few | {"candidates": {"queryset": "train", "retriever": "given", "depth": 200}}},
        "validation": {"queryset": "validation", "retriever": "given", "queries": 20},
        "evaluation": {"leaks": ["dev"]},
        "grid": {
            "recipes": ["cl"],
            "retrievers": ["given"],
            "benchmarks": ["dev"],
            "depth": 50,
            "fusion": {"norm": "min-max", "measure": "nDCG@10"},
        },
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def jobs_at(folder: Path, share: float, options: argparse.Namespace) -> pd.DataFrame:
    """Each rule's longest job (minutes) and largest memory (GB) at a share of the full size."""
    write_all(folder, share, options.words, options.checkpoint)
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--directory", folder]
    command += ["--configfile", folder / "config.yaml", "--", *options.targets]
    ended = subprocess.run(list(map(str, command)), cwd=REPOSITORY, stderr=subprocess.PIPE, text=True, check=False)
    if ended.returncode:
        sys.exit(ended.stderr)
    jobs = jobs_of(folder / "results")
    return jobs.groupby("rule").max() / pd.Series({"seconds": 60, "memory_mb": 1000})


def main() -> None:
    """Print what each rule took at the larger share, and takes at full size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default="results/checkpoints/bert-tiny", help="a backbone's folder")
    parser.add_argument("targets", nargs="*", default=TARGETS, help="what is made; default: all that is measured")
    parser.add_argument("--words", type=float, default=56, help="of a passage; fewer save the time of tokenising them")
    options = parser.parse_args()
    found = []
    for share in SHARES:
        with tempfile.TemporaryDirectory() as folder:
            found.append(jobs_at(Path(folder), share, options))
            print(share, found[-1].round(2).to_string(), sep="\n", flush=True)
    small, large = found
    full = large + (large - small).clip(lower=0) * (1 - SHARES[1]) / (SHARES[1] - SHARES[0])
    print("| rule | at a tenth | at full size |\n|---|---:|---:|")
    measured = large.to_dict("index")
    for rule, at in full.sort_values("memory_mb", ascending=False).to_dict("index").items():
        took = [f"{row['seconds']:.1f} min, {row['memory_mb']:.1f} GB" for row in (measured[rule], at)]
        print(f"| {rule} | {' | '.join(took)} |")


if __name__ == "__main__":
    main()
