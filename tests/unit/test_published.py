"""The paper's numbers, and ours beside them."""

from functools import partial

import pandas as pd
import pytest

from multistage.jobs.errors import InputError
from multistage.reporting.published import read_published, write_beside
from repository import REPOSITORY
from wrong_inputs import Case, judged

PAPER = REPOSITORY / "data" / "ecir2025.csv"


def ours(backbone="electra", recipe="cl"):
    row = ["dl19", "bm25", backbone, recipe, "nDCG@10", 1, 43, 0.5, 0.4, 0.6]
    columns = ["benchmark", "retriever", "backbone", "recipe", "measure", "seeds", "queries", "mean", "low", "high"]
    return pd.DataFrame([row], columns=columns)


def test_the_papers_table_is_whole():
    table = read_published(PAPER)
    assert len(table) == 648 and table["value"].between(0, 1).all()
    systems = table.drop_duplicates(["backbone", "recipe"])
    assert len(systems) == 1 + 2 * 4 and set(table["retriever"]) == {"bm25", "colbert", "contriever"}
    assert table.groupby(["backbone", "recipe", "retriever", "benchmark"]).size().eq(6).all()


def test_ours_stand_beside_theirs_with_the_difference(tmp_path):
    published = read_published(PAPER).set_index(["backbone", "recipe", "retriever", "benchmark", "measure"])["value"]
    theirs = published["electra", "cl", "bm25", "dl19", "nDCG@10"]
    csv, markdown = tmp_path / "published.csv", tmp_path / "published.md"
    write_beside(pd.concat([ours(), ours(recipe="kd-cl-kd")]), PAPER, csv, markdown)
    row = f"| bm25 | electra cl | 0.5000 | 0.4000 to 0.6000 | {theirs:.4f} | {0.5 - theirs:+.4f} |"
    assert row in markdown.read_text()
    assert pd.read_csv(csv)[["published", "gap"]].to_numpy().tolist() == [pytest.approx([theirs, 0.5 - theirs], abs=1e-5)]
    with pytest.raises(InputError, match="no result is of this grid"):
        write_beside(ours(backbone="tiny"), PAPER, csv, markdown)


def read(text, given, output, code="latin-1"):
    if text is not None:
        (given / "published.csv").write_bytes(text.encode(code))
    read_published(given / "published.csv")


HEADER = "backbone,recipe,retriever,benchmark,measure,value\n"
RESULT = "tiny,cl,bm25,dl19,AP,0.3\n"
WRONG = [None, "", "a,b\n1,2\n", f"{HEADER}{RESULT[:-1]},0.4\n", f"{HEADER}t\xe9ny,cl,bm25,dl19,AP,0.3\n", "\x89PNG\r\n\0"]
VALUES = ["kd,bm25,dl19,AP,much", "kd,bm25,dl19,AP,", "kd,bm25,dl19,AP,nan", "kd,bm25,dl19,AP,30.1", RESULT[5:-1]]
CASES = [(repr(text), partial(read, text), "published.csv") for text in WRONG]
CASES += [(line, partial(read, f"{HEADER}{RESULT}tiny,{line}\n"), "published.csv, line 3") for line in VALUES]
CASES += [(f"in {code}", partial(read, HEADER + RESULT, code=code), None) for code in ("utf-8", "utf-16")]
test_inputs = judged(Case("published results", *case) for case in CASES)
