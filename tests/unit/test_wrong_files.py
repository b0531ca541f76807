"""Damaged files of the workflow: whatever opens one names it, says what is wrong and that deleting it has it made again."""

import json
import shutil
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import torch
from safetensors.torch import load_file, save_file

from multistage.data.sampling import Groups
from multistage.data.tables import count_texts, read_ids, read_qrels, read_texts, stream_rows, write_qrels, write_texts
from multistage.data.tokens import StoreFiles, TokenStore
from multistage.evaluation.fusion import fuse_files
from multistage.evaluation.measures import read_values
from multistage.jobs.errors import one_message
from multistage.reporting.costs import reranking_costs, training_costs
from multistage.reporting.tables import read_table
from multistage.retrieval.encoding import read_vectors, shard_ids, write_vectors
from multistage.retrieval.late_interaction import build_plaid, plaid_search
from small_groups import groups_from
from wrong_inputs import Case, judged

STORE = StoreFiles("ids.npy", "offsets.npy", "store.json")
VALUES = {"retriever": ["bm25"], "backbone": [""], "recipe": ["first-stage"], "seed": [""], "query": ["q1"], "AP": [0.5]}
JUDGED = pl.DataFrame({"query": ["q1"], "passage": ["p1"], "grade": [1]})
RECORD = {"seconds": 1.0, "pairs": 2, "run": {"processes": 1, "device": "cpu"}}


class File(NamedTuple):
    """A kind of file: its name, what writes it into a folder, and what reads it there."""

    name: str
    write: Callable[[Path], object]
    read: Callable[[Path], object]


def write_store(folder: Path) -> None:
    np.save(folder / STORE.ids, np.arange(5, dtype=np.uint16))
    np.save(folder / STORE.offsets, np.array([0, 2, 2, 5]))
    (folder / STORE.description).write_text('{"vocabulary_sha256": "0", "texts": 3, "tokens": 5}')


def in_store(name: str) -> File:
    return File(name, write_store, lambda folder: TokenStore.open(StoreFiles(*(str(folder / file) for file in STORE))))


@cache
def index() -> TemporaryDirectory:
    """A folder with a PLAID index, until the tests end."""
    folder = TemporaryDirectory()
    vectors, plaid = Path(folder.name, "vectors"), Path(folder.name, "plaid")
    write_vectors(vectors, [(torch.eye(8).repeat(3, 1), [3] * 8)])
    build_plaid(vectors, plaid, nbits=4, kmeans_passages=None, device="cpu")
    return folder


def in_index(name: str) -> File:
    def read(folder: Path) -> None:
        plaid_search(folder / "plaid", "cpu", full_scores=8)([torch.eye(8)], 3)

    return File(f"plaid/{name}", lambda folder: shutil.copytree(Path(index().name, "plaid"), folder / "plaid"), read)


def at(name: str, write: Callable[[Path], object], read: Callable[[str], object]) -> File:
    return File(name, lambda folder: write(folder / name), lambda folder: read(str(folder / name)))


def texts(read: Callable[[str], object]) -> File:
    return at("texts.parquet", lambda path: write_texts(path, [("p1", "one"), ("p2", "two " * 99)], "here"), read)


def saved(content: dict) -> Callable[[Path], object]:
    return lambda path: path.write_text(json.dumps(content))


FILES = {
    "ids of texts": texts(read_ids),
    "ids of a part": texts(partial(shard_ids, shard=1, shards=2)),
    "texts": texts(read_texts),
    "texts, streamed": texts(lambda path: list(stream_rows(path))),
    "number of texts": texts(count_texts),
    "judgements": at("qrels.parquet", lambda path: write_qrels(path, JUDGED, "here"), read_qrels),
    "values": at("values.parquet", pd.DataFrame(VALUES).to_parquet, read_values),
    "token ids": in_store(STORE.ids),
    "token offsets": in_store(STORE.offsets),
    "token description": in_store(STORE.description),
    "groups": at("groups.safetensors", groups_from([[1, 0], [0, 1]], taught=True).write, Groups.read),
    "vectors": at("vectors.safetensors", partial(write_vectors, batches=[(torch.ones(3, 2), [1, 2])]), read_vectors),
    "index": in_index("ivf.npy"),
    "lengths in an index": in_index("doclens.0.json"),
    "training record": at("training.json", saved(RECORD), lambda path: training_costs([("a", "cl", "1")], [path])),
    "weight of fusion": at(
        "weight.json",
        saved({"weight_of_reranker": 0.5, "norm": "min-max"}),
        lambda path: fuse_files("no.run", "no.run", path, depth=1, tag="t", output=Path(path).parent / "fused.run"),
    ),
    "means": at("means.csv", pd.DataFrame(VALUES | {"measure": ["AP"]}).to_csv, read_table),
    "seconds": at(
        "rerank.tsv",
        lambda path: path.write_text("s\th:m:s\n2.5\t0:00:02\n"),
        lambda path: reranking_costs([("a", "cl", "1", "dl19")], [path]),
    ),
}


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def spoil(path: Path) -> None:
    """Damage what stands first in a table, and nothing of its last part, which says what it holds."""
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(20) + content[24:])


DAMAGES = {
    "empty": replace_by(b""),
    "cut": cut,
    "zeros": lambda path: path.write_bytes(bytes(len(path.read_bytes()))),
    "a web page": replace_by(b"<html>503 Service Unavailable</html>\n"),
    "not UTF-8": replace_by(b"\xff\xfe\x00\xd8" * 40),
    "a list": replace_by(b"[1, 2]\n"),
    "gone": Path.unlink,
    "a folder": make_folder,
}


def open_damaged(file: File, damage: Callable[[Path], object], given: Path, output: Path) -> None:
    file.write(given)
    damage(given / file.name)
    with one_message():
        file.read(given)


def parquet(**columns: list) -> Callable[[Path], object]:
    return lambda path: pl.DataFrame(columns).write_parquet(path)


def tensors(**changes: torch.Tensor | None) -> Callable[[Path], object]:
    """Tensors of a file replaced, or left out."""

    def change(path: Path) -> None:
        stored = {**{name: tensor.clone() for name, tensor in load_file(path).items()}, **changes}
        save_file({name: tensor for name, tensor in stored.items() if tensor is not None}, path)

    return change


def array(*values: float, dtype: str) -> Callable[[Path], object]:
    return lambda path: np.save(path, np.array(values, dtype=dtype))


CONTENTS = {
    "ids of texts": {"no column": parquet(text=["a"]), "numbers": parquet(id=[1], text=["a"]), "damaged data": spoil},
    "ids of a part": {"damaged data": spoil},
    "texts": {
        "no column": parquet(id=["a"]),
        "numbers": parquet(id=["a"], text=[0.5]),
        "lists": parquet(id=["a"], text=[["a"]]),
        "no text": parquet(id=["a", "b"], text=["a", None]),
    },
    "texts, streamed": {"no text": parquet(id=["a", "b"], text=["a", None])},
    "judgements": {
        "damaged data": spoil,
        "no column": parquet(query=["q"], passage=["p"]),
        "grades as text": parquet(query=["q"], passage=["p"], grade=["1"]),
    },
    "values": {"no column": parquet(query=["q1"], AP=[0.5])},
    "token ids": {
        "fewer": array(1, 2, dtype="uint16"),
        "fractions": array(1, 2, 3, 4, 5, dtype="float32"),
        "pickled": lambda path: np.save(path, np.array([{}], dtype=object), allow_pickle=True),
    },
    "token offsets": {
        "fewer": array(0, 5, dtype="int64"),
        "falling": array(0, 3, 2, 5, dtype="int64"),
        "beyond the end": array(0, 2, 2, 6, dtype="int64"),
        "not from 0": array(1, 2, 2, 5, dtype="int64"),
        "other type": array(0, 2, 2, 5, dtype="float64"),
    },
    "token description": {"no count": saved({"vocabulary_sha256": "0", "texts": 3}), "no fingerprint": saved({})},
    "groups": {
        "no passages": tensors(passages=None),
        "no queries": tensors(queries=None),
        "no groups": tensors(queries=torch.empty(0, dtype=torch.int32)),
        "no column": tensors(
            passages=torch.empty(2, 0, dtype=torch.int32),
            grades=torch.empty(2, 0, dtype=torch.int16),
            ranks=torch.empty(2, 0, dtype=torch.int16),
            scores=torch.empty(2, 0),
        ),
        "other shape": tensors(grades=torch.zeros(2, 3, dtype=torch.int16)),
        "one dimension": tensors(passages=torch.zeros(2, dtype=torch.int32)),
        "other type": tensors(scores=torch.zeros(2, 2, dtype=torch.int16)),
        "a model's": lambda path: save_file({"bert.weight": torch.zeros(2, 2)}, path),
    },
    "vectors": {
        "no lengths": tensors(lengths=None),
        "lengths of others": tensors(lengths=torch.tensor([1, 3], dtype=torch.int32)),
        "negative lengths": tensors(lengths=torch.tensor([4, -1], dtype=torch.int32)),
        "whole numbers": tensors(vectors=torch.ones(3, 2, dtype=torch.int32)),
        "one dimension": tensors(vectors=torch.ones(3)),
    },
    "training record": {"no seconds": saved({"run": {"device": "cpu"}})},
    "weight of fusion": {"no weight": saved({"norm": "min-max"})},
    "means": {"no column": lambda path: path.write_text("recipe,mean\ncl,0.5\n")},
    "seconds": {
        "no rows": lambda path: path.write_text("s\th:m:s\n"),
        "no column": lambda path: path.write_text("seconds\n3\n"),
        "words": lambda path: path.write_text("s\nlong\n"),
    },
}

test_inputs = judged(
    Case(f"damaged file: {kind}", name, partial(open_damaged, FILES[kind], damage), place=FILES[kind].name.partition("/")[0])
    for kind in FILES
    for name, damage in (DAMAGES | CONTENTS.get(kind, {})).items()
)

test_whole_files = judged(
    Case("whole file", kind, partial(open_damaged, file, lambda path: None))
    for kind, file in FILES.items()
    if kind != "weight of fusion"  # whose runs are missing
)
