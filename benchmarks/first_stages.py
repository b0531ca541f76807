"""Are the first stages of the default experiment what they should be?  python -m benchmarks.first_stages

Reads results/ after `make demo`. BM25: MRR@10 and R@100 over the queries of all splits, measured by trec_eval's rules.
ColBERT: how much of PLAID's top ten is the top ten of exact MaxSim over the same token vectors, on the test queries.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

from multistage.data.runs import read_run
from multistage.data.tables import count_texts, read_ids, read_texts, stream_texts
from multistage.evaluation.judgements import read_judgements, read_ranking
from multistage.evaluation.measures import measure_ranking
from multistage.retrieval.encoding import encode_passages, encode_queries, load_encoder, read_vectors

REPOSITORY = Path(__file__).resolve().parent.parent

RESULTS = REPOSITORY / "results"
COLLECTION = RESULTS / "collections" / "wikipedia"
SPLITS = ["wikipedia-train", "wikipedia-validation", "wikipedia-test"]


def bm25() -> None:
    """Effectiveness over every query."""
    parts = []
    for split in SPLITS:
        judgements = read_judgements(COLLECTION / f"{split}.qrels.parquet", relevance=1)
        ranking = read_ranking(RESULTS / "runs" / "bm25" / f"{split}.run", judgements)
        parts.append(pd.DataFrame(measure_ranking(ranking, judgements, ["RR@10", "R@10", "R@100"])))
    values = pd.concat(parts)
    print(f"BM25 over {len(values):,} queries: " + ", ".join(f"{name} {mean:.3f}" for name, mean in values.mean().items()))


def plaid() -> None:
    """Overlap of PLAID's and exact late interaction's top ten."""
    settings = yaml.safe_load((REPOSITORY / "config.yaml").read_text())["retrievers"]["colbert"]
    checkpoint, max_length = RESULTS / "checkpoints" / settings["checkpoint"], settings["max_length"]
    encoder = load_encoder(checkpoint, kind="colbert", max_length=max_length, device="cpu")
    queries = read_texts(COLLECTION / f"{SPLITS[-1]}.queries.parquet")
    # The workflow's own token vectors are temporary.
    with tempfile.TemporaryDirectory() as folder:
        texts, vectors_file = COLLECTION / "passages.parquet", Path(folder) / "vectors.safetensors"
        encode_passages(encoder, stream_texts(texts), total=count_texts(texts), output=vectors_file)
        stored, lengths = read_vectors(vectors_file)
        tokens = stored.float()
    owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    ids = read_ids(COLLECTION / "passages.parquet")
    run = read_run(RESULTS / "runs" / "colbert" / f"{SPLITS[-1]}.run", 10, passages=ids)
    top_ten = {query: set(found["passage"]) for (query,), found in run.group_by("query")}
    overlap = []
    for query, vectors in zip(queries["id"], encode_queries(encoder, queries["text"].to_list()), strict=True):
        best = torch.full((len(vectors), len(lengths)), -torch.inf)
        best.scatter_reduce_(1, owner.expand(len(vectors), -1), vectors @ tokens.T, "amax")
        overlap.append(len(top_ten[query] & set(best.sum(0).topk(10).indices.tolist())) / 10)
    shares = np.asarray(overlap)
    print(
        f"PLAID against exact MaxSim on {len(shares):,} queries: mean overlap of the top ten {shares.mean():.3f}, "
        f"at least 9 of 10 for {(shares >= 0.9).mean():.1%} of queries, at least 7 for {(shares >= 0.7).mean():.1%}, "
        f"all 10 for {(shares == 1).mean():.1%}"
    )


if __name__ == "__main__":
    bm25()
    plaid()
