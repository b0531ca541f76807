"""A stage, from files to a model folder: loads elsewhere with the same scores, same bytes again, nothing left on error."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from multistage.config.recipes import MODEL_FILES
from multistage.config.training import Objective
from multistage.jobs.errors import InputError
from multistage.model.checkpoint import WEIGHTS, distance, new_cross_encoder
from multistage.training import stage
from small_groups import groups_from
from small_stage import ADAPTER, OBJECTIVE, PASSAGES, train


def test_a_model_is_an_ordinary_checkpoint_with_its_record(inputs, tmp_path, caplog):
    caplog.set_level("INFO", logger="jobs")
    model = train(inputs, tmp_path / "cl", training={"tensorboard": True})
    assert sorted(path.name for path in model.iterdir()) == sorted([*MODEL_FILES, *WEIGHTS.values()])
    record = json.loads((model / "training.json").read_text())
    assert (
        record["recipe"] == "cl"
        and record["seed"] == 3
        and record["objective"] == Objective.model_validate(OBJECTIVE).definition()
    )
    assert record["pairs"] == 6 * 2 * 3 and record["tokens"] > record["pairs"]
    assert [point["step"] for point in record["validation"]] == [0, 3, 6]
    assert [point["step"] for point in record["loss"]] == [3, 6]
    assert len(record["inputs"]["parent"]) == 64 and record["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert record["moved_from_parent"]["relative"] > 0 and 0 < record["moved_from_parent"]["changed"] < 1
    assert record["loss"][-1]["loss"] < 1.3 and -1 <= record["loss"][-1]["kendall_tau"] <= 1
    assert not (tmp_path / "state" / "cl").exists()
    before, after = load_file(inputs.parent), load_file(model / "model.safetensors")
    same = [name for name in before if torch.equal(before[name], after[name])]
    assert same == ["bert.embeddings.position_embeddings.weight"], "what is frozen stays, and nothing else"
    *_, line = [record.message for record in caplog.records if "padding" in record.message]
    assert re.fullmatch(
        r"6 of 6 steps, [\d.]+/s, 0:00:00 left, loss [\d.]+, [\d,]+ pairs/s, [\d,]+ tokens/s, [\d.]+% padding", line
    )
    (events,) = (tmp_path / "events").iterdir()
    assert events.name.startswith("events.out.tfevents") and b"training/loss" in events.read_bytes()


@pytest.mark.parametrize("export", ["best", "last"])
def test_best_and_last_are_kept_and_one_is_exported(inputs, tmp_path, export):
    """With steps this long, the second validation is the best."""
    changes = {"learning_rate": 0.1, "validate_every": 1, "schedule": "constant_with_warmup", "warmup": 0.0, "steps": 4}
    model = train(inputs, tmp_path / "cl", export=export, **changes)
    best, last, exported = (load_file(model / name) for name in ("best.safetensors", "last.safetensors", "model.safetensors"))
    record = json.loads((model / "training.json").read_text())
    validations = {point["step"]: point["ndcg@10"] for point in record["validation"][1:]}
    best_step = max(validations, key=lambda step: (validations[step], step))
    assert best_step < 4, "the case needs a model that gets worse"
    assert record["exported"]["weights"] == export and record["exported"]["step"] == {"best": best_step, "last": 4}[export]
    chosen, other = (best, last) if export == "best" else (last, best)
    assert all(torch.equal(exported[name], chosen[name]) for name in exported)
    assert not all(torch.equal(exported[name], other[name]) for name in exported)
    # The best weights are what training for so many steps gives.
    until_best = train(inputs, tmp_path / "until-best", export="last", **(changes | {"steps": best_step}))
    assert (until_best / "last.safetensors").read_bytes() == (model / "best.safetensors").read_bytes()


def test_a_stage_ends_when_patience_does_also_when_killed_after_it(inputs, tmp_path, monkeypatch):
    changes = {"learning_rate": 0.1, "validate_every": 1, "schedule": "constant_with_warmup", "warmup": 0.0}
    model = train(inputs, tmp_path / "whole", export="last", steps=40, patience=2, **changes)
    record = json.loads((model / "training.json").read_text())
    values = [point["ndcg@10"] for point in record["validation"][1:]]
    in_vain = [length - 1 - values.index(max(values[:length])) for length in range(1, len(values) + 1)]
    assert len(values) < 40 and in_vain[-1] == 2 > max(in_vain[:-1])
    exported = record["exported"]
    assert exported["weights"] == "best" and exported["why"].endswith("after which the stage ended: patience is 2")
    for file, step in (("model", exported["step"]), ("last", len(values))):
        shorter = train(inputs, tmp_path / f"{step}", export="last", steps=step, **changes)
        assert (shorter / "last.safetensors").read_bytes() == (model / f"{file}.safetensors").read_bytes()

    with monkeypatch.context() as patch, pytest.raises(TypeError):
        patch.setattr(stage, "_write_stage", None)  # it ends before the model is written
        train(inputs, tmp_path / "killed", export="last", steps=40, patience=2, **changes)
    again = train(inputs, tmp_path / "killed", export="last", steps=40, patience=2, **changes)
    assert json.loads((again / "training.json").read_text())["interruptions"] == 1
    for name in WEIGHTS.values():
        assert (again / name).read_bytes() == (model / name).read_bytes()


@pytest.mark.parametrize(
    ("changes", "validated"),
    [
        # 24 steps of 2 x 3 pairs cost 360 forward passes, a validation 5: 10% pays for 7, the one before training included.
        ({"share": 0.1, "validate_every": 1, "steps": 24}, [0, 4, 8, 12, 16, 20, 24]),
        # Two queries, both in a step.
        ({"steps": None, "epochs": 2.5}, [0, 3]),
    ],
)
def test_when_a_stage_is_validated(inputs, tmp_path, changes, validated):
    record = json.loads((train(inputs, tmp_path / "cl", **changes) / "training.json").read_text())
    assert [point["step"] for point in record["validation"]] == validated


def test_another_seed_gives_other_bytes(inputs, tmp_path):
    weights = {(train(inputs, tmp_path / str(seed), seed=seed) / "model.safetensors").read_bytes() for seed in (3, 4)}
    assert len(weights) == 2


def test_with_an_adapter_its_modules_and_the_head_move(inputs, tmp_path):
    """Also in a second stage, which starts from weights like any other's, and where the encoder computes in bfloat16."""
    parent = Path(inputs.parent)
    for precision in ("float32", "bfloat16"):
        given = inputs._replace(parent=str(parent))
        folder = train(given, tmp_path / precision, backbone={"adapter": ADAPTER}, precision=precision)
        before, after = load_file(parent), load_file(folder / "model.safetensors")
        assert before.keys() == after.keys()
        moved = {name for name in before if not torch.equal(before[name], after[name])}
        attention = [f"encoder.layer.{layer}.attention.self.{name}" for layer in (0, 1) for name in ("query", "value")]
        assert moved == {f"bert.{name}.weight" for name in attention} | {
            f"{name}.{part}" for name in ("bert.pooler.dense", "classifier") for part in ("weight", "bias")
        }
        parent = folder / "model.safetensors"
    assert "peft" in json.loads((folder / "training.json").read_text())["versions"]


def test_a_new_head_depends_on_the_seed_alone(checkpoint, tmp_path):
    one, same, other = (new_cross_encoder(checkpoint, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    # The checkpoint already is a one-label classifier, so its head is kept.
    assert all(torch.equal(one[name], other[name]) for name in one)
    config = json.loads((checkpoint / "config.json").read_text()) | {"architectures": ["BertForMaskedLM"]}
    (checkpoint / "config.json").write_text(json.dumps(config))
    weights = load_file(checkpoint / "model.safetensors")
    save_file({name: weight for name, weight in weights.items() if "classifier" not in name}, checkpoint / "model.safetensors")
    one, same, other = (new_cross_encoder(checkpoint, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["classifier.weight"], other["classifier.weight"])


def test_how_far_the_weights_moved():
    model = torch.nn.Linear(2, 1)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    assert distance(model, before) == {"relative": 0.0, "largest": 0.0, "changed": 0.0}
    with torch.no_grad():
        model.bias += 3.0
    norm = sum(float(weight.square().sum()) for weight in before.values()) ** 0.5
    assert distance(model, before) == pytest.approx({"relative": 3 / norm, "largest": 3.0, "changed": 1 / 3}, rel=1e-5)


def other_vocabulary(inputs):
    path = Path(inputs.passages.description)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vocabulary_sha256": "0" * 64}))


def other_texts(inputs):
    groups_from([[1, 0]], passages=[[0, len(PASSAGES)]]).write(inputs.groups)


def no_query(inputs):
    groups = groups_from([[1, 0]])
    groups.queries[:] = -1
    groups.write(inputs.groups)


@pytest.mark.parametrize(
    ("spoil", "changes", "message"),
    [
        (None, {"learning_rate": 1e30, "warmup": 0.0}, "the loss is"),
        (None, {"learning_rate": 1e30, "warmup": 0.0, "steps": 1, "validate_every": 1}, "of the validation set (nan|inf)"),
        (other_vocabulary, {}, "tokenised with another vocabulary"),
        (other_texts, {"group_size": 2}, r"groups\.safetensors: made of other texts than .*passages\.ids\.npy"),
        (no_query, {"group_size": 2}, r"groups\.safetensors: made of other texts than .*queries\.ids\.npy"),
    ],
)
def test_what_goes_wrong_leaves_nothing(inputs, tmp_path, spoil, changes, message):
    if spoil:
        spoil(inputs)
    with pytest.raises(InputError, match=message):
        train(inputs, tmp_path / "cl", **changes)
    assert not (tmp_path / "cl").exists()
