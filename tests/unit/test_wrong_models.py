"""Checkpoints that are wrong: damaged, put together of parts that do not belong together, or too small for what is asked."""

import json
import pickle
import shutil
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel

from multistage.config.training import Backbone
from multistage.model.weights import require_positions
from multistage.retrieval.encoding import load_encoder
from multistage.scoring.own_texts import score_own_pairs, scorer_for
from multistage.training.stage import initialise
from small_models import write_bert_checkpoint
from wrong_inputs import Case, judged

WEIGHTS = "model.safetensors"


@cache
def sound():
    return write_bert_checkpoint(Path(mkdtemp()) / "model")


def score(change, given, output, **lengths):
    """Score a pair with a changed checkpoint."""
    change(shutil.copytree(sound(), given / "model"))
    (given / "pairs.jsonl").write_text('{"query": "paris", "passage": "the river"}\n')
    lengths = {"max_length": 20, "max_query_length": 8} | lengths
    scorer = scorer_for(given / "model", device="cpu", tokens_per_batch=64, precision="float32", **lengths)
    score_own_pairs(scorer, given / "pairs.jsonl", output / "scored.jsonl")


def start(change, given, output, **lengths):
    """Make a re-ranker of a changed checkpoint, which has no head."""
    folder = shutil.copytree(sound(), given / "model")
    weights(lambda tensors: [tensors.pop(name) for name in list(tensors) if "classifier" in name or "pooler" in name], folder)
    settings(folder, architectures=["BertModel"])
    change(folder)
    lengths = Backbone(**({"checkpoint": "one", "max_length": 20, "max_query_length": 8} | lengths))
    initialise(folder, lengths, seed=1, output=output / "model")


def encode(change, given, output, max_length=20, kind="dense"):
    """Load a changed checkpoint as a bi-encoder."""
    folder = shutil.copytree(sound(), given / "model")
    change(folder)
    load_encoder(folder, kind=kind, max_length=max_length, device="cpu", pooling="mean" if kind == "dense" else None)


def weights(change, folder):
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def settings(folder, name="config.json", **changes):
    (folder / name).write_text(json.dumps(json.loads((folder / name).read_text()) | changes))


def replace(name, content, folder):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content((folder / name).read_bytes()))


def without(name):
    return partial(weights, lambda tensors: tensors.pop(name, None))


def cut(name):
    return partial(weights, lambda tensors: tensors.update({name: tensors[name][..., 1:].contiguous()}))


def holding(name, value):
    return partial(weights, lambda tensors: tensors[name].view(-1)[:1].fill_(value))


def renamed(old, new):
    def rename(tensors):
        for name in [name for name in tensors if name.startswith(old)]:
            tensors[new + name.removeprefix(old)] = tensors.pop(name)

    return partial(weights, rename)


def split(folder):
    """Keep the weights in two files, with an index."""
    whole = load_file(folder / WEIGHTS)
    files = {name: f"model-{row % 2}.safetensors" for row, name in enumerate(whole)}
    for file in set(files.values()):
        save_file({name: whole[name] for name in whole if files[name] == file}, folder / file, metadata={"format": "pt"})
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
    (folder / WEIGHTS).unlink()


def narrow(folder):
    """A ColBERT whose last layer reads fewer numbers than the encoder gives."""
    weights(lambda tensors: tensors.update({"linear.weight": torch.ones(4, 5)}), folder)
    settings(folder, architectures=["HF_ColBERT"])
    (folder / "artifact.metadata").write_text("{}")


def fewer(setting, name, rows, folder):
    """Cut a table of embeddings."""
    settings(folder, **{setting: rows})
    name = f"bert.embeddings.{name}.weight"
    weights(lambda tensors: tensors.update({name: tensors[name][:rows].clone()}), folder)


def lost(folder):
    (folder / "model-1.safetensors").unlink()


LAYER = "bert.encoder.layer.1"
TENSORS = ("bert.embeddings.word_embeddings.weight", "bert.embeddings.LayerNorm.bias", f"{LAYER}.output.dense.weight")
HEAD = ("classifier.weight", "classifier.bias", "bert.pooler.dense.weight")
PARTS = {
    "other layers": renamed(LAYER, "bert.encoder.layer.7"),
    "a prefix": renamed("", "model."),
    "no tensors": partial(weights, dict.clear),
    "more layers": partial(settings, num_hidden_layers=3),
    "fewer layers": partial(settings, num_hidden_layers=1),
    "wider": partial(settings, intermediate_size=48),
}
PARTS |= {f"{name} {value}": holding(name, value) for name in TENSORS[:2] for value in (float("nan"), float("inf"))}
FILES = {
    "config.json": ["", "{", "[]", "null", "{}", '{"model_type": 3}', '{"model_type": "nobody"}', "\x00\xff"],
    "tokenizer.json": ["", "{", "[]", "{}", '{"model": {}}', "\x00\xff"],
    "tokenizer_config.json": ["", "{", "[]"],
}
DAMAGED = {f"{name} {text!r}": partial(replace, name, text.encode()) for name, texts in FILES.items() for text in texts}
DAMAGED |= {
    f"weights cut to {length}": partial(replace, WEIGHTS, lambda whole, n=length: whole[:n]) for length in (0, 7, 900, -1)
}
DAMAGED["pickled weights"] = partial(replace, WEIGHTS, pickle.dumps({"classifier.weight": 1.0}))
DAMAGED["no weights"] = lambda folder: (folder / WEIGHTS).unlink()
DAMAGED["hidden_size of letters"] = partial(settings, hidden_size="wide")
LIMITS = {
    "positions": (lambda folder: None, {"max_length": 65}, "max_length"),
    "room": (lambda folder: None, {"max_query_length": 17}, "max_query_length"),
    "padding": (partial(settings, name="tokenizer_config.json", pad_token=None), {}, "padding token"),
    "types": (partial(fewer, "type_vocab_size", "token_type_embeddings", 1), {}, "token_type"),
    "vocabulary": (partial(fewer, "vocab_size", "word_embeddings", 20), {}, "vocab"),
}


# Of a config with 64 positions, how many tokens are read.
LENGTHS = {"bert": 64, "roberta": 62, "distilbert": 64, "mpnet": 62, "deberta-v2": 64, "modernbert": 64, "qwen3": 64}
SIZES = {"vocab_size": 9, "max_position_embeddings": 64, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
SIZES |= {"intermediate_size": 8, "num_key_value_heads": 1, "head_dim": 8, "pad_token_id": 1}


def positions(kind, length, given, output, **settings):
    """Read a text of this length with a model of this kind."""
    model = AutoModel.from_config(AutoConfig.for_model(kind, **SIZES, **settings))
    require_positions(model, length)
    model(input_ids=torch.full((1, length), 5), attention_mask=torch.ones(1, length))


def cases():
    for kind, longest in LENGTHS.items():
        yield Case("limits of a model", f"{kind} {longest}", partial(positions, kind, longest))
        yield Case("limits of a model", f"{kind} {longest + 1}", partial(positions, kind, longest + 1), "max_length")
    relative = partial(positions, "deberta-v2", 200, position_biased_input=False, relative_attention=True)
    yield Case("limits of a model", "relative positions alone", relative)
    for use in (score, start, encode):
        changes = {f"no {name}": without(name) for name in TENSORS} | {f"cut {name}": cut(name) for name in TENSORS} | PARTS
        if use is score:
            changes |= {f"no {name}": without(name) for name in HEAD} | {f"cut {name}": cut(name) for name in HEAD}
            changes["renamed head"] = renamed("classifier", "head")
        for name, change in changes.items():
            yield Case("weights that do not match", f"{use.__name__} {name}", partial(use, change), place="model.safetensors")
        for name, change in DAMAGED.items():
            yield Case("damaged checkpoint", f"{use.__name__} {name}", partial(use, change), place="model")
        for name, (change, lengths, place) in LIMITS.items() if use is not encode else []:
            yield Case("limits of a model", f"{use.__name__} {name}", partial(use, change, **lengths), place=place)
        for name, changes, place in (
            ("kernel", {"_attn_implementation": "kernels-community/any"}, "config.json"),
            ("attention", {"_attn_implementation": "flash_attention_2"}, "model" if use is encode else None),
            ("module", {"auto_map": {"AutoModel": "mine.Model"}}, None),
        ):
            run = partial(use, partial(settings, **changes))
            yield Case("code that a checkpoint names", f"{use.__name__} {name}", run, place=place)
        for changes in ({"output_attentions": True}, {"return_dict": False}, {"architectures": [3]}):
            yield Case("outputs of a model", f"{use.__name__} {changes}", partial(use, partial(settings, **changes)))
        yield Case("weights in several files", f"{use.__name__} whole", partial(use, split))
        for name, change in {"one lost": lost, "index": partial(replace, f"{WEIGHTS}.index.json", b"{}")}.items():
            run = partial(use, lambda folder, change=change: (split(folder), change(folder)))
            yield Case("weights in several files", f"{use.__name__} {name}", run, place="model")
    for text in ("[]", "{}", "[1]", "{", '[{"path": "../other"}]'):
        change = partial(replace, "modules.json", text.encode())
        yield Case("damaged checkpoint", f"encode modules.json {text}", partial(encode, change), place="model")
    for use, name in ((score, 3), (start, "BertForSequenceClassification")):
        two_labels = partial(settings, architectures=[name], id2label={"0": "a", "1": "b"})
        yield Case("outputs of a model", f"{use.__name__} two labels", partial(use, two_labels), place="config.json")
    yield Case("damaged checkpoint", "encode narrow", partial(encode, narrow, kind="colbert"), place="model")
    for place, names in {"frozen": ["nowhere"], "adapter": {"kind": "lora", "modules": ["nowhere"]}}.items():
        yield Case("names of parameters", place, partial(start, lambda folder: None, **{place: names}), place=place)
    yield Case("limits of a model", "packed", partial(start, partial(settings, is_decoder=True), packed=True), place="packed")
    yield Case("limits of a model", "encode positions", partial(encode, lambda folder: None, max_length=65), place="max_length")
    for text in (
        "{",
        "[]",
        "\xff",
        '{"backbone": 3}',
        *(f'{{"backbone": {{"max_query_length": {n}}}}}' for n in ('"x"', 0, 2.5)),
    ):
        change = partial(replace, "training.json", text.encode("latin-1"))
        run = partial(score, change, max_query_length=None)
        yield Case("recorded lengths", f"training.json {text}", run, place="training.json")
    for length in ("x", -1, 0, 2.5, [20], 1 << 40):
        change = partial(settings, name="tokenizer_config.json", model_max_length=length)
        yield Case("recorded lengths", f"a pair of {length}", partial(score, change, max_length=None), place="model")


test_inputs = judged(cases())


def test_the_score_that_is_not_finite_is_named(tmp_path):
    """Finite weights whose products are not."""
    with pytest.raises(ValueError, match=r"model: the model's score of pair 1 of .*pairs\.jsonl is (-?inf|nan)\. "):
        (tmp_path / "out").mkdir()
        score(partial(weights, lambda tensors: [tensors[name].fill_(3e38) for name in HEAD]), tmp_path, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
