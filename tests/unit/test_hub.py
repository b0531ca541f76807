"""Models from a Hub on loopback: what is taken, what it says of itself, and tokenizers made of a vocabulary."""

import hashlib
import json
import re

import pytest
from huggingface_hub import constants
from safetensors.numpy import save_file
from tokenizers.pre_tokenizers import ByteLevel

from loopback import Behaviour, HubHandler, commit_of, hub_server, serve_hub
from multistage.data.tokens import load_tokenizer_file
from multistage.jobs.errors import InputError
from multistage.model.checkpoint import load_cross_encoder, load_tokenizer
from multistage.sources.checkpoints import complete_tokenizer
from multistage.sources.hub import fetch_model
from multistage.sources.patience import Patience
from small_models import write_bert_checkpoint

HUB = "https://huggingface.co/"
MODEL = "google/tiny-bert"
SOURCE = {"hub": MODEL, "revision": "main", "licence": "Apache-2.0"}


@pytest.fixture
def models(tmp_path):
    """A folder of models with one BERT, and beside its weights what is not to be taken."""
    model = write_bert_checkpoint(tmp_path / "models" / MODEL)
    (model / "1_Pooling").mkdir()
    (model / "1_Pooling" / "config.json").write_text("{}")
    (model / "artifact.metadata").write_text("{}")
    for name in ("pytorch_model.bin", "modeling.py", "weights.pt", "1_Pooling/pool.pkl", "README.md"):
        (model / name).write_bytes(b"not to be taken")
    return tmp_path / "models"


@pytest.fixture
def hub(models, monkeypatch):
    """A Hub with that model; what a user's account would send to it is made up."""
    monkeypatch.setenv("HF_TOKEN", "hf_SECRET")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    with hub_server(models) as site:
        yield site


@pytest.fixture
def output(tmp_path):
    """Where the model goes."""
    return tmp_path / "results" / "checkpoints" / "bert"


def fetch(hub, output, revision="main", patience=None, model=MODEL):
    patience = patience or Patience(attempts=3, sleep=lambda _: None)
    fetch_model(model, revision, "Apache-2.0", output, {HUB: hub.url}, patience)


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


TAKEN = ["1_Pooling/config.json", "artifact.metadata", "config.json", "model.safetensors", "tokenizer.json"]
TAKEN += ["tokenizer_config.json"]


def move_weights_to_pull_request(models, number, author=None):
    """A model whose weights are a pickle on main, and safetensors in a pull request."""
    request = models / f"{MODEL}.pull-requests" / str(number)
    request.mkdir(parents=True)
    for path in (models / MODEL).iterdir():
        if path.is_file():
            (request / path.name).write_bytes(path.read_bytes())
    if author:
        (request / ".author").write_text(author)
    return request


@pytest.mark.parametrize("kind", ["server", "folder"])
def test_a_model_is_fetched_with_what_it_comes_from(models, hub, output, kind, caplog):
    caplog.set_level("INFO")
    mirror = hub.url if kind == "server" else f"{models}/"
    fetch_model(**SOURCE, output=output, mirrors={HUB: mirror})
    assert files_in(output) == sorted([*TAKEN, "source.json"])
    assert not any(path.is_symlink() for path in output.rglob("*"))
    for name in TAKEN:
        assert (output / name).read_bytes() == (models / MODEL / name).read_bytes()
    record = json.loads((output / "source.json").read_text())
    digests = {name: hashlib.sha256((output / name).read_bytes()).hexdigest() for name in TAKEN}
    commit = commit_of(models / MODEL) if kind == "server" else None
    assert record == SOURCE | {"taken": "main", "commit": commit, "files": digests}
    assert [path.name for path in output.parent.iterdir() if not path.name.endswith(".lock")] == ["bert"]
    assert load_cross_encoder(output).num_labels == 1 and load_tokenizer_file(output / "tokenizer.json").get_vocab_size() > 9
    assert "SECRET" not in caplog.text
    assert all("authorization" not in {name.lower() for name in headers} for _, _, headers in hub.requests)


def test_a_commit_can_be_named(models, hub, output):
    commit = commit_of(models / MODEL)
    fetch(hub, output, revision=commit)
    record = json.loads((output / "source.json").read_text())
    assert record["revision"] == record["commit"] == commit
    assert all("/main" not in path for _, path, _ in hub.requests)


def test_the_same_commit_gives_the_same_bytes(hub, output):
    fetch(hub, output)
    fetch(hub, output.with_name("again"))
    assert files_in(output) == files_in(output.with_name("again"))
    assert all((output / name).read_bytes() == (output.with_name("again") / name).read_bytes() for name in files_in(output))


class TestConversions:
    """Weights that main has as a pickle only."""

    def test_the_converters_pull_request_is_taken(self, models, hub, output, caplog):
        caplog.set_level("INFO")
        request = move_weights_to_pull_request(models, 3)
        (models / MODEL / "model.safetensors").unlink()
        fetch(hub, output)
        record = json.loads((output / "source.json").read_text())
        assert (record["revision"], record["taken"], record["commit"]) == ("main", "refs/pr/3", commit_of(request))
        assert (output / "model.safetensors").read_bytes() == (request / "model.safetensors").read_bytes()
        assert "has no model.safetensors: taking refs/pr/3, by SFconvertbot" in caplog.text

    def test_nobody_elses_is(self, models, hub, output):
        move_weights_to_pull_request(models, 3, author="somebody")
        (models / MODEL / "model.safetensors").unlink()
        with pytest.raises(InputError, match=r"no model\.safetensors, nor a pull request of SFconvertbot"):
            fetch(hub, output)
        assert not output.exists()

    def test_the_newest_with_weights_is(self, models, hub, output):
        for number in (3, 9, 12):
            request = move_weights_to_pull_request(models, number)
            (request / "vocab.txt").write_text(str(number))
        (request / "model.safetensors").unlink()
        (models / MODEL / "model.safetensors").unlink()
        fetch(hub, output)
        assert json.loads((output / "source.json").read_text())["taken"] == "refs/pr/9"

    def test_weights_in_several_files_are_refused(self, models, hub, output):
        (models / MODEL / "model.safetensors").rename(models / MODEL / "model-00001-of-00002.safetensors")
        (models / MODEL / "model.safetensors.index.json").write_text("{}")
        with pytest.raises(InputError, match="its weights are in several files"):
            fetch(hub, output)


def test_a_fetch_that_drops_at_every_tenth_loses_nothing(models, hub, output):
    weights = (models / MODEL / "model.safetensors").read_bytes()
    path = f"/{MODEL}/resolve/{commit_of(models / MODEL)}/model.safetensors"
    hub.behaviours[path] = Behaviour(drop_after=len(weights) // 10 + 1)
    fetch(hub, output)
    assert (output / "model.safetensors").read_bytes() == weights and hub.sent[path] == len(weights)


def test_a_second_run_asks_only_for_what_is_missing(models, hub, output):
    path = f"/{MODEL}/resolve/{commit_of(models / MODEL)}/tokenizer.json"
    weights = path.replace("tokenizer.json", "model.safetensors")
    hub.behaviours[path] = Behaviour(drop_after=100)
    with pytest.raises(InputError, match=r"tokenizer\.json: gave up after 1 attempts"):
        fetch(hub, output, patience=Patience(attempts=1))
    assert hub.sent[weights] > 0 and not output.exists()
    hub.behaviours.clear()
    before = hub.sent[weights]
    fetch(hub, output)
    assert hub.sent[weights] == before and hub.sent[path] == (models / MODEL / "tokenizer.json").stat().st_size
    assert files_in(output) == sorted([*TAKEN, "source.json"])


def test_the_users_account_opens_the_hub_and_nothing_else(models, hub, output, monkeypatch):
    """The Hub's own address is made that of the server; then the same server is a mirror."""
    monkeypatch.setattr("sources.hub.HUB", hub.url.rstrip("/"))
    monkeypatch.setattr(constants, "ENDPOINT", hub.url.rstrip("/"))
    fetch_model(**SOURCE, output=output, mirrors={})
    sent = {headers.get("authorization", headers.get("Authorization")) for _, _, headers in hub.requests}
    assert sent == {"Bearer hf_SECRET"}
    hub.requests.clear()
    monkeypatch.setattr("sources.hub.HUB", "https://huggingface.co")
    fetch(hub, output.with_name("mirrored"))
    assert not any("authorization" in {name.lower() for name in headers} for _, _, headers in hub.requests)


def test_a_busy_hub_is_asked_again(hub, output):
    hub.behaviours[f"/api/models/{MODEL}/revision/main"] = Behaviour(answers=[(429, {"Retry-After": "4"}), (503, {})])
    slept = []
    fetch(hub, output, patience=Patience(attempts=3, sleep=slept.append))
    assert slept[0] == 4 and len(slept) == 2 and output.is_dir()


def test_a_hub_out_of_reach_is_given_up_on(hub, output):
    hub.url = "http://127.0.0.1:9/"
    with pytest.raises(InputError, match="main cannot be fetched, 3 times"):
        fetch(hub, output)


@pytest.mark.parametrize(
    ("model", "revision"), [("google/absent", "main"), (MODEL, "absent"), (MODEL, "0" * 40)], ids=["model", "branch", "commit"]
)
def test_what_does_not_exist_is_not_asked_twice(hub, output, model, revision):
    with pytest.raises(InputError, match=rf"{model}: {revision} cannot be fetched\. "):
        fetch(hub, output, revision=revision, model=model)
    assert len(hub.requests) == 1 and not output.exists()


def test_weights_that_are_not_what_the_hub_says_are_refused(models, hub, output, monkeypatch):
    commit = commit_of(models / MODEL)
    path = f"/{MODEL}/resolve/{commit}/model.safetensors"
    weights = (models / MODEL / "model.safetensors").read_bytes()
    send = HubHandler.send_body

    def damage(self, asked, body, behaviour):
        send(self, asked, bytes([body[0] ^ 1]) + body[1:] if asked == path else body, behaviour)

    with monkeypatch.context() as damaged:
        damaged.setattr(HubHandler, "send_body", damage)
        with pytest.raises(InputError, match=r"model\.safetensors: the SHA-256 is .* according to what the Hub says of commit"):
            fetch(hub, output)
    assert not output.exists()
    fetch(hub, output)
    assert (output / "model.safetensors").read_bytes() == weights


def test_a_name_that_leads_out_of_the_folder_is_refused(hub, output, monkeypatch):
    information = HubHandler.information

    def with_escape(self, model, folder):
        answer = information(self, model, folder)
        answer["siblings"].append({"rfilename": "../../../escaped.json", "size": 2})
        return answer

    monkeypatch.setattr(HubHandler, "information", with_escape)
    with pytest.raises(InputError, match="points outside its folder"):
        fetch(hub, output)
    assert not list(output.parent.parent.rglob("escaped.json"))


def test_a_server_that_names_no_commit_is_no_hub(hub, output, monkeypatch):
    information = HubHandler.information
    for commit in (None, "../../escaped"):
        monkeypatch.setattr(HubHandler, "information", lambda *of, sha=commit: information(*of) | {"sha": sha})
        with pytest.raises(InputError, match="the server names no commit"):
            fetch(hub, output)
    assert not output.exists()


def test_a_mirrors_folder_without_the_model_is_told(models, output):
    with pytest.raises(InputError, match=r"there is no folder .*google/absent"):
        fetch_model("google/absent", "main", "", output, {HUB: f"{models}/"})
    (models / MODEL / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"there is no model\.safetensors"):
        fetch_model(MODEL, "main", "", output, {HUB: f"{models}/"})
    assert not output.exists()


def test_the_address_of_a_hub_can_be_used_as_a_mirror(models, output):
    with serve_hub(models) as address:
        fetch_model(MODEL, "main", "", output, {HUB: address})
    assert re.fullmatch(r"[0-9a-f]{40}", json.loads((output / "source.json").read_text())["commit"])


class TestTokenizers:
    """Models that have a vocabulary only, as electra-base-discriminator has."""

    WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "river", "city", "##s")

    def bert(self, folder, kind, settings=None):
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"model_type": kind}))
        (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in self.WORDS))
        if settings is not None:
            (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        return folder

    @pytest.mark.parametrize("settings", [None, {"do_lower_case": True, "model_max_length": 512}])
    @pytest.mark.parametrize("kind", ["bert", "electra"])
    def test_of_vocab_txt(self, tmp_path, kind, settings):
        folder = self.bert(tmp_path / kind, kind, settings)
        before = files_in(folder)
        complete_tokenizer(folder, "it")
        assert files_in(folder) == sorted([*before, "tokenizer.json"])
        encoding = load_tokenizer_file(folder / "tokenizer.json").encode("The RIVERS", "city")
        assert encoding.ids == [2, 5, 6, 8, 3, 7, 3] and encoding.type_ids == [0, 0, 0, 0, 0, 1, 1]
        assert load_tokenizer(folder)("The RIVERS", "city")["input_ids"] == encoding.ids

    def test_of_vocab_json_and_merges_txt(self, tmp_path):
        words = ["<s>", "<pad>", "</s>", "<unk>", *sorted(ByteLevel.alphabet()), "th", "Ġth", "<mask>"]
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "roberta"}))
        (tmp_path / "vocab.json").write_text(json.dumps({word: row for row, word in enumerate(words)}))
        (tmp_path / "merges.txt").write_text("#version: 0.2\nt h\nĠ th\n")
        complete_tokenizer(tmp_path, "it")
        encoding = load_tokenizer_file(tmp_path / "tokenizer.json").encode("th th", "t")
        expected = ["<s>", "th", "Ġth", "</s>", "</s>", "t", "</s>"]
        assert [words[row] for row in encoding.ids] == expected
        assert load_tokenizer(tmp_path)("th th", "t")["input_ids"] == encoding.ids

    def test_one_that_is_there_is_left_as_it_is(self, tmp_path):
        (tmp_path / "tokenizer.json").write_text("its own")
        complete_tokenizer(tmp_path, "it")
        assert (tmp_path / "tokenizer.json").read_text() == "its own"

    def test_without_a_vocabulary_there_is_none(self, tmp_path):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
        with pytest.raises(InputError, match=r"it: there is no tokenizer\.json, and none can be made"):
            complete_tokenizer(tmp_path, "it")
        assert files_in(tmp_path) == ["config.json"]

    def test_a_fetched_model_gets_one(self, models, hub, output):
        model = models / "google" / "tiny-electra"
        self.bert(model, "electra")
        save_file({}, model / "model.safetensors")
        fetch(hub, output, model="google/tiny-electra")
        assert files_in(output) == ["config.json", "model.safetensors", "source.json", "tokenizer.json", "vocab.txt"]
        assert "tokenizer.json" in json.loads((output / "source.json").read_text())["files"]


def test_a_bi_encoder_and_a_late_interaction_encoder_load_beside_source_json(models, tmp_path):
    """source.json is none of their files."""
    from sentence_transformers import SentenceTransformer

    from multistage.retrieval.late_interaction import load_encoder

    (models / MODEL / "artifact.metadata").unlink()
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    modules += [{"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]
    pooling = {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True}
    (models / MODEL / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    fetch_model(MODEL, "main", "", tmp_path / "plain", {HUB: f"{models}/"})
    (models / MODEL / "modules.json").write_text(json.dumps(modules))
    fetch_model(MODEL, "main", "", tmp_path / "trained", {HUB: f"{models}/"})
    assert (tmp_path / "trained" / "source.json").is_file()
    encoder = SentenceTransformer(str(tmp_path / "trained"), device="cpu", local_files_only=True)
    assert encoder.encode(["the river"]).shape == (1, 16)
    assert load_encoder(tmp_path / "plain", 16, "cpu").encode_document(["the river"])[0].shape[1] == 16
