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


# Some of the 50 queries of DL-Hard: only these ids are in it.
HARD_IDS = ["915593", "451602", "966413", "1056204", "182539", "655914", "67316", "883915", "1049519", "174463"]

# The fields that each BEIR set keeps in the metadata of its passages and queries, where it has any.
BEIR_METADATA = {
    "dbpedia-entity": ({"url": "<http://dbpedia.org/resource/Paris>"}, {}),
    "scidocs": ({"authors": ["1"], "year": 2010, "cited_by": [], "references": ["2"]},) * 2,
    "trec-covid": ({"url": "https://doi.org/1", "pubmed_id": "1"}, {"query": "q", "narrative": "n"}),
}


def write_msmarco(
    home: Path,
    passages: dict[str, str],
    *,
    train: QuerySet,
    dev_small: QuerySet,
    dl19: QuerySet,
    dl20: QuerySet,
    hard: QuerySet,
) -> Path:
    """Write the files of MS MARCO's passage ranking where ir_datasets keeps its downloads, in the folder that is returned.

    Of all test queries, ir_datasets takes those for DL-Hard whose ids are among its 50, such as HARD_IDS. So the queries of
    `hard` that dl20 lacks are added to 2019's, and those of dl19 and dl20 with such an id are in DL-Hard, too.
    """
    folder = home / "msmarco-passage"
    for name in ("train", "trec-dl-2019", "trec-dl-2020", "trec-dl-hard"):
        (folder / name).mkdir(parents=True)
    # Without these ir_datasets would take the files for those of an older version, and remove them.
    (folder / "irds_version.txt").write_text("v2")
    (folder / "trec-dl-hard" / "irds_version.txt").write_text("v3")
    small = {
        "collection.tsv": _tabbed(passages),
        "qrels.dev.small.tsv": _qrels(dev_small, "{query}\t0\t{passage}\t{grade}\n"),
        "queries.dev.small.tsv": _tabbed(dev_small.queries),
    }
    _write_tar(folder / "collectionandqueries.tar.gz", small)
    _write_tar(folder / "queries.tar.gz", {"queries.train.tsv": _tabbed(train.queries)})
    (folder / "train" / "qrels").write_text(_qrels(train, "{query}\t0\t{passage}\t{grade}\n"), encoding="utf-8")
    added = {query: text for query, text in hard.queries.items() if query not in dl20.queries}
    (folder / "trec-dl-2019" / "queries.tsv").write_text(_tabbed(dl19.queries | added), encoding="utf-8")
    (folder / "trec-dl-2020" / "queries.tsv.gz").write_bytes(gzip.compress(_tabbed(dl20.queries).encode()))
    (folder / "trec-dl-2020" / "queries.tsv").write_text(_tabbed(dl20.queries), encoding="utf-8")
    for name, queries in (("trec-dl-2019", dl19), ("trec-dl-2020", dl20), ("trec-dl-hard", hard)):
        (folder / name / "qrels").write_text(_qrels(queries, "{query} Q0 {passage} {grade}\n"), encoding="utf-8")
    return folder


def write_beir(home: Path, name: str, passages: dict[str, tuple[str, str]], queries: QuerySet) -> None:
    """Write the zip of a BEIR set where ir_datasets keeps it, with its test judgements; passages are (title, text) by id."""
    path = home / "beir" / name / "source.zip"
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
        archive.writestr(f"{name}/qrels/test.tsv", f"query-id\tcorpus-id\tscore\n{lines}")


def _tabbed(texts: dict[str, str]) -> str:
    return "".join(f"{name}\t{text}\n" for name, text in texts.items())


def _qrels(queries: QuerySet, line: str) -> str:
    return "".join(
        line.format(query=query, passage=passage, grade=grade)
        for query, judged in queries.qrels.items()
        for passage, grade in judged.items()
    )


def _write_tar(path: Path, members: dict[str, str]) -> None:
    with tarfile.open(path, mode="w:gz") as archive:
        for name, text in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
