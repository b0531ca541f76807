"""Collections: tables of any size, draws of queries, and each kind of collection from its real file formats."""

import gzip
import json
import logging
import socket
import string
import sys
import zipfile

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msmarco_files import HARD_IDS, QuerySet, write_beir, write_msmarco
from multistage.config.data import Draw, OwnFile
from multistage.data import tables
from multistage.data.ir_datasets_reader import Dataset
from multistage.data.local_files import read_local_texts, read_qrels_file
from multistage.data.preparing import draw_queries, prepare_passages, prepare_queries
from multistage.data.vital_articles import article_queries, read_articles
from multistage.jobs.errors import InputError

ARTICLES = {
    "Paris": {"title": "Paris", "extract": "Paris is a city.", "description": "Capital of France"},
    "Seine": {"title": "Seine", "extract": "The Seine flows.", "description": "River in  France"},
    "Loire": {"title": "Loire", "extract": "The Loire flows.", "description": "river in France"},
    "Art": {"title": "Art", "extract": "Art is made.", "description": "Activity"},
    "Rome": {"title": "Rome", "extract": "Rome is old.", "description": "Capital of Italy"},
    "Nil": {"title": "Nil", "extract": "Nothing.", "description": None},
}
MEMBER = "tiny_data/articles.json"


class TestTables:
    """Passages, queries and judgements as Parquet."""

    @pytest.fixture
    def small_groups(self, monkeypatch):
        """Row groups of 10 and batches of 4, so that a few texts fill several."""
        monkeypatch.setattr(tables, "ROW_GROUP", 10)
        monkeypatch.setattr(tables, "ROWS_AT_ONCE", 4)

    @pytest.mark.parametrize(("start", "stop"), [(0, None), (0, 35), (0, 0), (9, 10), (10, 20), (13, 27), (34, 99), (35, 40)])
    def test_a_range_of_rows_comes_in_order_and_in_small_batches(self, tmp_path, small_groups, start, stop):
        rows = [(f"d{row}", f"Text {row} é\n😀") for row in range(35)]
        tables.write_texts(tmp_path / "texts.parquet", iter(rows), "source")
        assert tables.count_texts(tmp_path / "texts.parquet") == 35
        assert tables.read_texts(tmp_path / "texts.parquet").rows() == rows
        batches = list(tables.stream_rows(tmp_path / "texts.parquet", start, stop))
        assert [pair for batch in batches for pair in zip(*batch, strict=True)] == rows[start:stop]
        assert all(len(ids) <= 4 for ids, _ in batches)
        texts = [text for batch in tables.stream_texts(tmp_path / "texts.parquet", start, stop) for text in batch]
        assert texts == [text for _, text in rows[start:stop]]

    def test_a_repeated_id_is_found_across_row_groups(self, tmp_path, small_groups):
        ids = [*map(str, range(30)), "17", "3"]
        with pytest.raises(InputError, match=r"^source: id '3' is there more than once"):
            tables.write_texts(tmp_path / "texts.parquet", [(name, "") for name in ids], "source")
        assert not list(tmp_path.iterdir())

    def test_a_judgement_that_repeats_another_is_left_out(self, tmp_path, caplog):
        given = pl.DataFrame([("1", "p", 1), ("1", "p", 1), ("1", "q", -2)], tables.QRELS, orient="row")
        tables.write_qrels(tmp_path / "qrels.parquet", given, "source")
        assert tables.read_qrels(tmp_path / "qrels.parquet").rows() == [("1", "p", 1), ("1", "q", -2)]
        assert "1 judgements left out: they are there already" in caplog.text


class TestDraw:
    """Queries drawn from a set."""

    @given(st.integers(1, 300), st.integers(0, 2**32), st.data())
    def test_positions_of_one_shuffled_order(self, count, seed, data):
        start = data.draw(st.integers(0, count - 1))
        stop = data.draw(st.integers(start + 1, count))
        order = np.random.default_rng(seed).permutation(count)
        assert draw_queries(count, seed, start, stop) == sorted(order[start:stop])
        assert draw_queries(count, seed, start, None) == sorted(order[start:])

    @pytest.mark.parametrize(("start", "stop"), [(30, 41), (40, None), (50, 60)])
    def test_there_must_be_as_many_queries(self, start, stop):
        with pytest.raises(InputError, match=rf"queries {start} up to {stop or 40} were asked for, and there are 40;"):
            draw_queries(40, 3, start, stop)


class TestVitalArticles:
    """The embedded collection."""

    @pytest.fixture
    def wheel(self, tmp_path):
        """A small package with articles."""
        path = tmp_path / "tiny_data-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(MEMBER, json.dumps(ARTICLES))
        return path

    def test_descriptions_of_two_words_are_queries(self, wheel):
        query_set = article_queries(wheel, MEMBER, None)
        assert query_set.queries == [("0", "Capital of France"), ("1", "River in France"), ("2", "Capital of Italy")]
        assert query_set.judgements.rows() == [("0", "0", 1), ("1", "1", 1), ("1", "2", 1), ("2", "4", 1)]

    def test_passages_are_the_extracts(self, wheel, tmp_path):
        output = tmp_path / "passages.parquet"
        prepare_passages("vital-articles", [str(wheel)], {"member": MEMBER, "articles": 2}, output)
        assert pd.read_parquet(output).to_dict("list") == {"id": ["0", "1"], "text": ["Paris is a city.", "The Seine flows."]}

    def test_a_damaged_package_is_named(self, wheel):
        with pytest.raises(InputError, match=r"tiny_data/absent\.json: not the expected articles"):
            read_articles(wheel, "tiny_data/absent.json")
        wheel.write_bytes(wheel.read_bytes()[:300])
        with pytest.raises(InputError, match="not the expected articles"):
            read_articles(wheel, MEMBER)


PASSAGES = {str(row): f"passage {row} Ã©tÃ© \u201cquoted\u201d" for row in range(12)}
SETS = {
    "train/judged": QuerySet(
        {"1185869": "what is a river", "700": "not judged", "1185868": "who is"},
        {"1185869": {"3": 1, "4": 1}, "1185868": {"5": 1}},
    ),
    "dev/small": QuerySet({"1048585": "what is paula", "2": "androgen"}, {"1048585": {"7": 1}, "2": {"0": 1}}),
    "trec-dl-2019/judged": QuerySet(
        {"156493": "do goldfish grow", "5": "not judged", "1110199": "what is wifi"},
        {"156493": {"1": 0, "2": 3}, "1110199": {"1": 2}},
    ),
    "trec-dl-2020/judged": QuerySet({"1030303": "who is aziz", HARD_IDS[1]: "hard 1"}, {"1030303": {"6": 2, "8": 1}}),
    "trec-dl-hard": QuerySet(
        {HARD_IDS[0]: "hard 0", HARD_IDS[1]: "hard 1"}, {HARD_IDS[0]: {"9": 1}, HARD_IDS[1]: {"9": 3, "1": 0}}
    ),
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home for ir_datasets, which is imported anew for it; every connection is refused."""

    def refuse(host, *rest, **options):
        raise OSError(f"no network in this test: {host}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IR_DATASETS_DL_TRIES", "1")
    for name in [name for name in sys.modules if name.partition(".")[0] == "ir_datasets"]:
        monkeypatch.delitem(sys.modules, name)
    yield tmp_path / "home"
    for name in [name for name in sys.modules if name.partition(".")[0] == "ir_datasets"]:
        del sys.modules[name]
    logging.getLogger("ir_datasets").handlers.clear()


class TestIrDatasets:
    """MS MARCO and BEIR as ir_datasets reads them, from small files in the real layout."""

    @pytest.fixture
    def msmarco(self, home):
        train, dev_small, dl19, dl20, hard = SETS.values()
        return write_msmarco(home, PASSAGES, train=train, dev_small=dev_small, dl19=dl19, dl20=dl20, hard=hard)

    def prepare(self, name, tmp_path):
        """The queries and judgements that the job writes, as dictionaries."""
        files = {kind: tmp_path / "results" / f"set.{kind}.parquet" for kind in ("queries", "qrels")}
        prepare_queries("ir_datasets", [], {"id": name}, draw=None, **files)
        judged: dict[str, dict[str, int]] = {}
        for query, passage, grade in tables.read_qrels(files["qrels"]).rows():
            judged.setdefault(query, {})[passage] = grade
        return dict(tables.read_texts(files["queries"]).rows()), judged

    def passages(self, name, tmp_path):
        prepare_passages("ir_datasets", [], {"id": name}, tmp_path / "results" / "passages.parquet")
        return dict(tables.read_texts(tmp_path / "results" / "passages.parquet").rows())

    def test_msmarco(self, msmarco, tmp_path):
        # ir_datasets repairs the collection's doubly encoded characters.
        repaired = {name: text.replace("Ã©tÃ©", "été") for name, text in PASSAGES.items()}
        assert self.passages("msmarco-passage", tmp_path) == repaired
        for part, expected in SETS.items():
            Dataset(f"msmarco-passage/{part}").download()
            queries, qrels = self.prepare(f"msmarco-passage/{part}", tmp_path)
            assert queries == {query: text for query, text in expected.queries.items() if query in expected.qrels}
            assert qrels == expected.qrels

    @pytest.mark.parametrize(
        "name", ["climate-fever", "dbpedia-entity/test", "nq", "quora/test", "scidocs", "trec-covid", "arguana"]
    )
    def test_beir(self, home, tmp_path, name):
        folder = name.partition("/")[0]
        passages = {"d1": ("Paris", "is a city. "), "<d2>": ("", "No title"), "d3": ("Ü", "")}
        queries = QuerySet({"q1": "which city", "q2": "not judged"}, {"q1": {"d1": 2, "d3": -1}})
        write_beir(home, folder, passages, queries)
        Dataset(f"beir/{name}").download()
        # Of a few sets ir_datasets reads the text alone, for its documents have no title.
        titled = {key: f"{title} {text}".strip() for key, (title, text) in passages.items()}
        plain = {key: text.strip() for key, (_, text) in passages.items()}
        assert self.passages(f"beir/{folder}", tmp_path) == (plain if folder == "quora" else titled)
        # Where a set has several splits, its queries are those that are judged in this one.
        judged = {"q1": "which city"} if "/" in name else queries.queries
        assert self.prepare(f"beir/{name}", tmp_path) == (judged, queries.qrels)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("msmarco-passage/dev/smal", r"the dataset 'msmarco-passage/dev/smal'; did you mean msmarco-passage/dev/small"),
            ("beir/dbpedia-entity", r"beir/dbpedia-entity has no qrels; give the id of one of its parts"),
            ("beir", r"beir has no qrels"),
        ],
    )
    def test_a_wrong_id(self, home, tmp_path, name, message):
        write_beir(home, "dbpedia-entity", {"d": ("", "text")}, QuerySet({"q": "text"}, {"q": {"d": 1}}))
        with pytest.raises(InputError, match=message):
            self.prepare(name, tmp_path)
        assert not list((tmp_path / "results").glob("*"))

    @pytest.mark.parametrize(
        ("file", "content", "message"),
        [
            ("trec-dl-2019/qrels", b"19335 Q0 1\n", "RuntimeError: expected 4 columns, got 3"),
            ("trec-dl-2019/qrels", b"19335 Q0 1 high\n", "ValueError: .*'high'"),
            ("trec-dl-2019/queries.tsv", b"19335\ta\tb\n", "expected 2 fields, got 3"),
            ("trec-dl-2019/queries.tsv", None, "the queries of msmarco-passage/trec-dl-2019/judged .*no network"),
        ],
        ids=["columns", "grade", "fields", "not downloaded"],
    )
    def test_what_cannot_be_read_is_named_with_the_home(self, msmarco, tmp_path, file, content, message):
        (msmarco / file).unlink() if content is None else (msmarco / file).write_bytes(content)
        with pytest.raises(InputError, match=f"(?s){message}.*{tmp_path}/home"):
            self.prepare("msmarco-passage/trec-dl-2019/judged", tmp_path)
        assert not list((tmp_path / "results").glob("*.parquet"))

    def test_a_dataset_that_wants_a_password_gets_none(self, msmarco, monkeypatch):
        monkeypatch.setattr(sys, "stdin", None)
        dataset = Dataset("msmarco-passage")
        dataset.loaded = type("Loaded", (), {"has": lambda *_: True, "docs_iter": lambda _: iter([input("password: ")])})()
        with pytest.raises(InputError, match="EOFError"):
            dataset.download()


WORD = st.text(string.ascii_letters + string.digits + "éß😀-_:<>", min_size=1, max_size=8)
LINE = st.text(st.characters(blacklist_characters="\t\r\n\0", blacklist_categories=["Cs"]), max_size=20)


class TestLocal:
    """Collections of the user's own."""

    def write(self, path, text):
        path.write_bytes(text.encode())
        return path

    @settings(max_examples=40)
    @given(
        st.dictionaries(WORD, st.tuples(LINE, LINE), min_size=1, max_size=6), st.sampled_from(["id", "_id", "docid"]), st.data()
    )
    def test_json_lines_come_back(self, tmp_path_factory, texts, key, data):
        path = tmp_path_factory.mktemp("json") / data.draw(st.sampled_from(["p.jsonl", "p.jsonl.gz"]))
        escaped, end = data.draw(st.booleans()), data.draw(st.sampled_from(["\n", "\r\n", "\n\n"]))
        lines = [
            json.dumps({key: name, "title": title, "text": text, "other": 1}, ensure_ascii=escaped)
            for name, (title, text) in texts.items()
        ]
        content = end.join(lines).encode()
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
        assert dict(read_local_texts(path)) == {name: f"{title} {text}".strip() for name, (title, text) in texts.items()}

    @settings(max_examples=100)
    @given(st.text(st.sampled_from('{}[]":,\t\n id_text01é'), max_size=60))
    def test_whatever_the_lines_are_they_are_texts_or_an_error_that_names_one(self, tmp_path_factory, content):
        path = self.write(tmp_path_factory.mktemp("any") / "p", content)
        for read, width in ((read_local_texts, 2), (lambda path: read_qrels_file(path).rows(), 3)):
            try:
                assert all(len(row) == width for row in read(path))
            except InputError as error:
                assert f"{path}, line " in str(error)

    def test_few_tabs_inside_texts_and_column_names_are_told(self, tmp_path, caplog):
        path = self.write(tmp_path / "p.tsv", "docid\ttext\n1\ta\tb\t\n2\tc\n3\td\n")
        assert list(read_local_texts(path)) == [("1", "a\tb"), ("2", "c"), ("3", "d")]
        assert "line 1: left out, for it names the columns" in caplog.text
        assert "line 2: the text has a tab in it, as in 1 of 4 lines" in caplog.text
        self.write(path, "1\ta\tb\n2\tc\n")
        with pytest.raises(InputError, match=r"line 1: more than one tab, as 1 of 2 lines have"):
            list(read_local_texts(path))

    def test_a_path_may_begin_with_the_home(self, monkeypatch):
        monkeypatch.setenv("HOME", "/home/me")
        assert OwnFile(path="~/p.tsv", licence="mine").path == "/home/me/p.tsv"

    def test_numbers_are_ids_and_titles_may_lack(self, tmp_path):
        path = self.write(tmp_path / "p", '\ufeff{"docid": 7, "text": " a "}\n{"id": "8", "title": null, "text": "b"}\n')
        assert list(read_local_texts(path)) == [("7", "a"), ("8", "b")]

    @settings(max_examples=40)
    @given(st.lists(st.tuples(WORD, WORD, st.integers(-2, 4)), min_size=1, max_size=6), st.booleans(), st.sampled_from(" \t"))
    def test_judgements_come_back(self, tmp_path_factory, judgements, beir, blank):
        lines = ["query-id\tcorpus-id\tscore"] if beir else []
        lines += [blank.join([query, *([] if beir else ["0"]), passage, str(grade)]) for query, passage, grade in judgements]
        path = self.write(tmp_path_factory.mktemp("qrels") / "q", "\n".join(lines))
        assert read_qrels_file(path).rows() == judgements

    def test_a_collection_of_ones_own(self, tmp_path, caplog):
        """Judgements of unknown queries are left out, those of unknown passages are kept; both are counted."""
        caplog.set_level(logging.INFO)
        passages = self.write(tmp_path / "p.jsonl", '{"id": "a", "text": "Paris"}\n{"id": "b", "text": "Rome"}\n')
        queries = self.write(tmp_path / "q.tsv", "1\tcapital of France\n2\tcapital of Italy\n3\tnot judged\n")
        qrels = self.write(tmp_path / "q.qrels", "1 0 a 1\n1 0 gone 2\n2 0 b 1\n9 0 a 1\n")
        outputs = [tmp_path / f"{name}.parquet" for name in ("passages", "queries", "qrels")]
        prepare_passages("local", [str(passages)], {}, outputs[0])
        written = dict(zip(("passages", "queries", "qrels"), outputs, strict=True))
        prepare_queries("local", [str(queries), str(qrels)], {}, draw=None, **written)
        assert tables.read_ids(outputs[0]).to_list() == ["a", "b"] and tables.read_ids(outputs[1]).to_list() == ["1", "2", "3"]
        assert tables.read_qrels(outputs[2]).rows() == [("1", "a", 1), ("1", "gone", 2), ("2", "b", 1)]
        assert "3 of 3 queries, 3 judgements" in caplog.text
        assert "1 queries kept without a judgement" in caplog.text
        assert "1 judgements left out: their queries are not in the query set" in caplog.text
        assert "1 judgements kept, though their passages, such as 'gone', are not in the collection" in caplog.text
        assert "no relevant passage" not in caplog.text
        prepare_queries("local", [str(queries), str(qrels)], {}, draw=None, **written, relevance=2)
        assert "1 queries have judgements but no relevant passage" in caplog.text
        # A draw leaves out queries whose judgements are expected to be missing.
        caplog.clear()
        two = Draw.model_validate({"seed": 0, "from": 0, "to": 2})
        prepare_queries("local", [str(queries), str(qrels)], {}, draw=two, **written)
        drawn = [str(index + 1) for index in sorted(np.random.default_rng(0).permutation(3)[:2])]
        assert tables.read_ids(outputs[1]).to_list() == drawn
        assert set(tables.read_qrels(outputs[2])["query"]) == {query for query in drawn if query != "3"}
        assert "1 judgements left out" in caplog.text
