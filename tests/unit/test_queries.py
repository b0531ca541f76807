"""The view of single queries: what changed, and what stands at the top before and after."""

import pandas as pd
import polars as pl
import pytest

from multistage.data.runs import RUN, write_run
from multistage.reporting.queries import write_view

BEFORE = [(0.0, 0.5, 1.0), (0.2, 0.7, 1.0)]
AFTER = [(1.0, 0.0, 1.0), (0.8, 0.1, 1.0)]


def written(folder, after):
    """The CSV and the page of three queries with two seeds, whose values were BEFORE."""
    texts = {"p1": "Paris <b>is</b> a city.", "p2": "x" * 200 + " " + "y" * 200, "p3": "Rome."}
    pd.DataFrame(texts.items(), columns=["id", "text"]).to_parquet(folder / "passages.parquet")
    queries = pd.DataFrame([("q1", "capital & city"), ("q2", "two"), ("q3", "three")], columns=["id", "text"])
    queries.to_parquet(folder / "queries.parquet")
    pd.DataFrame([("q1", "p1", 1)], columns=["query", "passage", "grade"]).to_parquet(folder / "qrels.parquet")
    for name, tops in (("before", ["p2", "p1", "p3"]), ("after", ["p1", "p3", "p3"])):
        rows = [(query, passage, 2.0) for query, passage in zip(queries["id"], tops, strict=True)]
        rows += [(query, "p0", 1.0) for query in queries["id"]]
        write_run(folder / f"{name}.run", pl.DataFrame(rows, schema=RUN, orient="row"), tag="t")
    values = pd.DataFrame(
        [
            ("bm25", "tiny", recipe, seed, query, value)
            for recipe, by_seed in (("cl", BEFORE), ("cl-kd", after))
            for seed, line in zip("12", by_seed, strict=True)
            for query, value in zip(queries["id"], line, strict=True)
        ],
        columns=["retriever", "backbone", "recipe", "seed", "query", "AP"],
    )
    values.to_parquet(folder / "values.parquet")
    files = {name: folder / f"{name}.parquet" for name in ("values", "queries", "passages", "qrels")}
    files |= {suffix: folder / f"view.{suffix}" for suffix in ("csv", "html")}
    chosen = {"benchmark": "test", "retriever": "bm25", "measure": "AP", "examples": 5}
    write_view(runs=[folder / "after.run", folder / "before.run"], stages=[("tiny", "cl-kd", "cl")], **chosen, **files)
    return pd.read_csv(files["csv"], keep_default_na=False), files["html"].read_text()


def test_what_changed_is_listed_most_helped_first(tmp_path):
    view, page = written(tmp_path, AFTER)
    assert view["query"].tolist() == ["q1", "q2"]
    assert view["change"].tolist() == pytest.approx([0.8, -0.55])
    assert view[["before", "after"]].to_numpy().tolist() == [pytest.approx([0.1, 0.9]), pytest.approx([0.6, 0.05])]
    assert view["before_passage"].tolist() == ["p2", "p1"] and view["after_passage"].tolist() == ["p1", "p3"]
    assert view["after_grade"].astype(str).tolist() == ["1", ""] and view["after_text"][1] == "Rome."
    assert "capital &amp; city" in page and "Paris &lt;b&gt;is&lt;/b&gt; a city. <small>(grade 1)</small>" in page
    assert "tiny: cl→kd after cl" in page and "1 queries helped, 1 hurt" in page
    assert "x" * 200 + " …" in page and "y" * 200 not in page


def test_a_stage_that_changes_nothing_has_an_empty_page(tmp_path):
    view, page = written(tmp_path, BEFORE)
    assert view.empty and "none that changes a query" in page
