"""Leaks: queries of a benchmark that a model is trained or validated on."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import polars as pl

from multistage.data.tables import read_texts
from multistage.jobs.errors import InputError
from multistage.jobs.files import write_texts
from multistage.jobs.log import logger

# Equal for queries of the same text, whatever its case, blanks and Unicode form.
SAME_TEXT = pl.col("text").str.normalize("NFKC").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
ADVICE = (
    "Models would be evaluated on what they learn from. Let the sets have other queries, for example by querysets.NAME.draw; "
    "if this is wanted, name the benchmark under evaluation.leaks in the config."
)


def check_leaks(
    queries: Sequence[str | Path],
    *,
    learned: Sequence[str],
    benchmarks: Sequence[str],
    collections: Mapping[str, str],
    allowed: Collection[str],
    output: str | Path,
) -> None:
    """Write how many queries each benchmark shares with each query set that models learn from, as CSV.

    queries: tables of query sets, in the order of `collections`, which gives the collection of each by name. learned,
    benchmarks, allowed: names of query sets.
    Queries are shared that have the same text (`SAME_TEXT`), or the same id in the same collection.
    Raises InputError with an example from each two sets that share queries, where the benchmark is not `allowed` to.
    """
    tables = {name: read_texts(path).with_columns(key=SAME_TEXT) for name, path in zip(collections, queries, strict=True)}
    counts, refused = ["queryset,benchmark,shared"], []
    for name in learned:
        for benchmark in benchmarks:
            shares = pl.col("key").is_in(tables[name]["key"].implode())
            if collections[name] == collections[benchmark]:
                shares |= pl.col("id").is_in(tables[name]["id"].implode())
            shared = tables[benchmark].filter(shares)
            counts.append(f"{name},{benchmark},{len(shared)}")
            for query, text, _ in shared.head(1).iter_rows():
                what = f"{benchmark} has {len(shared)} of its {len(tables[benchmark])} queries in common with {name}"
                what += f", such as {query!r} ({text!r})"
                if benchmark in allowed:
                    logger.warning(f"{what}; evaluation.leaks allows it.")
                else:
                    refused.append(f"{what}.")
    if refused:
        raise InputError("\n".join([*refused, ADVICE]))
    write_texts({output: "\n".join(counts) + "\n"})
