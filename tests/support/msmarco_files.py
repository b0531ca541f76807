"""Small files in the exact formats of MS MARCO, TREC DL, DL-Hard and BEIR, as their hosts serve them."""

import gzip
import io
import json
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class QuerySet:
    """Queries by id, and the grades of their judged passages by query id."""

    queries: dict[str, str] = field(default_factory=dict)
    qrels: dict[str, dict[str, int]] = field(default_factory=dict)


# Where ir_datasets looks for each file, in its home.
PLACES = {
    "collectionandqueries.tar.gz": "msmarco-passage/collectionandqueries.tar.gz",
    "queries.tar.gz": "msmarco-passage/queries.tar.gz",
    "qrels.train.tsv": "msmarco-passage/train/qrels",
    "msmarco-test2019-queries.tsv.gz": "msmarco-passage/trec-dl-2019/queries.tsv",
    "msmarco-test2020-queries.tsv.gz": "msmarco-passage/trec-dl-2020/queries.tsv.gz",
    "2019qrels-pass.txt": "msmarco-passage/trec-dl-2019/qrels",
    "2020qrels-pass.txt": "msmarco-passage/trec-dl-2020/qrels",
    "dl_hard-passage.qrels": "msmarco-passage/trec-dl-hard/qrels",
}
# The files that each query set is read from.
FILES = {
    "msmarco-passage/train/judged": ["queries.tar.gz", "qrels.train.tsv"],
    "msmarco-passage/dev/small": ["collectionandqueries.tar.gz"],
    "msmarco-passage/trec-dl-2019/judged": ["msmarco-test2019-queries.tsv.gz", "2019qrels-pass.txt"],
    "msmarco-passage/trec-dl-2020/judged": ["msmarco-test2020-queries.tsv.gz", "2020qrels-pass.txt"],
    "msmarco-passage/trec-dl-hard": [
        "msmarco-test2019-queries.tsv.gz",
        "msmarco-test2020-queries.tsv.gz",
        "dl_hard-passage.qrels",
    ],
}
# Some of the 50 queries of DL-Hard: only these ids are in it.
HARD_IDS = ["915593", "451602", "966413", "1056204", "182539", "655914", "67316", "883915", "1049519", "174463"]

# The fields that each BEIR set keeps in the metadata of its passages and queries, where it has any.
BEIR_METADATA = {
    "dbpedia-entity": ({"url": "<http://dbpedia.org/resource/Paris>"}, {}),
    "scidocs": ({"authors": ["1"], "year": 2010, "cited_by": [], "references": ["2"]},) * 2,
    "trec-covid": ({"url": "https://doi.org/1", "pubmed_id": "1"}, {"query": "q", "narrative": "n"}),
}


def write_msmarco(
    folder: Path,
    passages: dict[str, str],
    train: QuerySet,
    dev_small: QuerySet,
    dl19: QuerySet,
    dl20: QuerySet,
    hard: QuerySet,
) -> dict[str, Path]:
    """Write every file of MS MARCO's passage ranking, and return them by name.

    Of all test queries, ir_datasets takes those for DL-Hard whose ids are among its 50, such as HARD_IDS. So the queries of
    `hard` that dl20 lacks are added to 2019's, and those of dl19 and dl20 with such an id are in DL-Hard, too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / name for name in PLACES}
    _write_tar(
        files["collectionandqueries.tar.gz"],
        {
            "collection.tsv": _tabbed(passages),
            "qrels.dev.small.tsv": _qrels(dev_small, "{query}\t0\t{passage}\t{grade}\n"),
            "qrels.train.tsv": _qrels(train, "{query}\t0\t{passage}\t{grade}\n"),
            "queries.dev.small.tsv": _tabbed(dev_small.queries),
            "queries.dev.tsv": _tabbed(dev_small.queries),
            "queries.eval.small.tsv": "",
            "queries.train.tsv": _tabbed(train.queries),
        },
    )
    _write_tar(
        files["queries.tar.gz"],
        {
            "queries.dev.tsv": _tabbed(dev_small.queries),
            "queries.eval.tsv": "",
            "queries.train.tsv": _tabbed(train.queries),
        },
    )
    added = {query: text for query, text in hard.queries.items() if query not in dl20.queries}
    _write_gzip(files["msmarco-test2019-queries.tsv.gz"], _tabbed(dl19.queries | added))
    _write_gzip(files["msmarco-test2020-queries.tsv.gz"], _tabbed(dl20.queries))
    files["qrels.train.tsv"].write_text(_qrels(train, "{query}\t0\t{passage}\t{grade}\n"), encoding="utf-8")
    files["2019qrels-pass.txt"].write_text(_qrels(dl19, "{query} Q0 {passage} {grade}\n"), encoding="utf-8")
    files["2020qrels-pass.txt"].write_text(_qrels(dl20, "{query} 0 {passage} {grade}\n"), encoding="utf-8")
    files["dl_hard-passage.qrels"].write_text(_qrels(hard, "{query} Q0 {passage} {grade}\n"), encoding="utf-8")
    return files


def write_beir(path: Path, passages: dict[str, tuple[str, str]], queries: QuerySet, split: str = "test") -> Path:
    """Write the zip of a BEIR set, named as the file, with the judgements of one split; passages are (title, text) by id."""
    name = path.stem
    of_passages, of_queries = BEIR_METADATA.get(name, ({}, {}))
    corpus = [
        {"_id": passage, "title": title, "text": text, "metadata": of_passages} for passage, (title, text) in passages.items()
    ]
    # Its queries are those of all splits together.
    asked = [{"_id": query, "text": text, "metadata": of_queries} for query, text in queries.queries.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for folder in ("", "qrels/"):
            archive.mkdir(f"{name}/{folder}")
        archive.writestr(f"{name}/corpus.jsonl", "".join(json.dumps(line) + "\n" for line in corpus))
        archive.writestr(f"{name}/queries.jsonl", "".join(json.dumps(line) + "\n" for line in asked))
        lines = _qrels(queries, "{query}\t{passage}\t{grade}\n")
        archive.writestr(f"{name}/qrels/{split}.tsv", f"query-id\tcorpus-id\tscore\n{lines}")
    return path


def _tabbed(texts: dict[str, str]) -> str:
    return "".join(f"{name}\t{text}\n" for name, text in texts.items())


def _qrels(queries: QuerySet, line: str) -> str:
    return "".join(
        line.format(query=query, passage=passage, grade=grade)
        for query, judged in queries.qrels.items()
        for passage, grade in judged.items()
    )


def _write_gzip(path: Path, text: str) -> None:
    with gzip.GzipFile(path, "wb", mtime=0) as stream:
        stream.write(text.encode())


def _write_tar(path: Path, members: dict[str, str]) -> None:
    """Write a .tar.gz with the same bytes each time."""
    with gzip.GzipFile(path, "wb", mtime=0) as stream, tarfile.open(fileobj=stream, mode="w") as archive:
        for name, text in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
