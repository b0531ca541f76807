"""A stage, from files to a model folder: loads elsewhere with the same scores, same bytes again, nothing left on error."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from conftest import write_bert_checkpoint
from crossencoder.backbone import BackboneSettings
from crossencoder.checkpoint import FILES, distance, load_cross_encoder, load_tokenizer, new_cross_encoder
from crossencoder.groups import Groups, GroupSampler
from crossencoder.objectives import LOSSES
from crossencoder.reranking import RerankInputs, rerank
from crossencoder.stage import StageInputs, initialise, pairs_for, train_stage
from crossencoder.tokens import StoreFiles, TokenStore, build_store, load_tokenizer_file
from crossencoder.training import StageRecord, group_loss
from crossencoder.validation import ValidationSet
from jobs.errors import InputError
from trec.runs import read_run, write_run

QUERIES = ["the capital of france", "river in london"]
PASSAGES = [
    "paris and the city",
    "thames the river in london of the capital",
    "",
    "france the the the",
    "a e i o u",
    "city of london",
]
BACKBONE = BackboneSettings(
    max_length=24, max_query_length=10, tokens_per_batch=64, dropout=0.1, frozen=["position_embeddings"]
)
OBJECTIVE = {
    "loss": "localized-contrastive",
    "candidates": {"queryset": "train", "retriever": "bm25", "depth": 5},
    "group_size": 3,
    "queries_per_step": 2,
    "steps": 6,
    "learning_rate": 1e-2,
    "schedule": "linear",
    "warmup": 0.1,
    "weight_decay": 0.01,
    "max_gradient_norm": 10.0,
    "validate_every": 3,
}


@pytest.fixture
def inputs(tmp_path):
    """Everything a stage reads, around a fresh untrained model."""
    checkpoint = write_bert_checkpoint(tmp_path / "checkpoint")
    initialise(checkpoint, BACKBONE.max_length, seed=1, output=tmp_path / "untrained")
    stores = {}
    for name, texts in (("queries", QUERIES), ("passages", PASSAGES)):
        stores[name] = StoreFiles(*(str(tmp_path / f"{name}.{suffix}") for suffix in ("ids.npy", "offsets.npy", "json")))
        build_store(texts, load_tokenizer_file(checkpoint / "tokenizer.json"), stores[name])
        pd.DataFrame({"id": [f"{name[0]}{row}" for row in range(len(texts))], "text": texts}).to_parquet(
            tmp_path / f"{name}.parquet"
        )
    ranked = [[(0, 1), (1, 2), (2, 2), (4, 2)], [(1, 1), (0, 2), (3, 2), (5, 2)]]
    Groups.from_lists("contrastive", [0, 1], ranked).write(tmp_path / "groups.safetensors", {})
    rows = np.array([[0, 1, 2], [3, 1, -1]], dtype=np.int32)
    grades = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.int16)
    ValidationSet(np.array([0, 1], dtype=np.int32), rows, grades).write(tmp_path / "validation.safetensors")
    return StageInputs(
        parent=str(tmp_path / "untrained" / "model.safetensors"),
        groups=str(tmp_path / "groups.safetensors"),
        validation=str(tmp_path / "validation.safetensors"),
        queries=stores["queries"],
        validation_queries=stores["queries"],
        passages=stores["passages"],
    )


def train(inputs, output, **changes):
    objective = OBJECTIVE | changes
    train_stage(inputs, "cl", objective, BACKBONE, device="cpu", seed=3, output=output)
    return output


def test_a_model_is_an_ordinary_checkpoint_with_its_record(inputs, tmp_path):
    model = train(inputs, tmp_path / "cl")
    assert sorted(path.name for path in model.iterdir()) == sorted(FILES)
    record = json.loads((model / "training.json").read_text())
    assert record["recipe"] == "cl" and record["seed"] == 3 and record["objective"] == OBJECTIVE
    assert record["pairs"] == 6 * 2 * 3 and record["tokens"] > record["pairs"]
    assert [point["step"] for point in record["validation"]] == [0, 3, 6]
    assert [point["step"] for point in record["loss"]] == [3, 6]
    assert len(record["inputs"]["parent"]) == 64 and record["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert record["moved_from_parent"]["relative"] > 0 and 0 < record["moved_from_parent"]["changed"] < 1
    assert record["loss"][-1]["loss"] < 1.3


def test_other_libraries_give_the_same_scores(inputs, tmp_path):
    from sentence_transformers import CrossEncoder

    folder = train(inputs, tmp_path / "cl")
    data = [(query, passage) for query in QUERIES for passage in PASSAGES]
    queries, passages = zip(*data, strict=True)
    pairs = pairs_for(load_tokenizer(folder), TokenStore(inputs.queries), TokenStore(inputs.passages), BACKBONE)
    rows = np.divmod(np.arange(len(data)), len(PASSAGES))
    with torch.inference_mode():
        ours = load_cross_encoder(folder).eval()(
            **{name: torch.from_numpy(values) for name, values in pairs.batch(*rows).items()}
        )
        plain = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        encoded = AutoTokenizer.from_pretrained(folder)(
            list(queries), list(passages), padding=True, truncation="only_second", return_tensors="pt"
        )
        theirs = plain(**encoded)
    assert torch.allclose(ours.logits, theirs.logits, atol=1e-5)
    predicted = CrossEncoder(str(folder), device="cpu").predict(data)
    assert predicted == pytest.approx(theirs.logits[:, 0].numpy(), abs=1e-5)


def test_same_seed_same_bytes_other_seed_other_bytes(inputs, tmp_path):
    first, second = train(inputs, tmp_path / "first"), train(inputs, tmp_path / "second")
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()
    train_stage(inputs, "cl", OBJECTIVE, BACKBONE, device="cpu", seed=4, output=tmp_path / "other")
    assert (first / "model.safetensors").read_bytes() != (tmp_path / "other" / "model.safetensors").read_bytes()


def test_frozen_parameters_stay(inputs, tmp_path):
    before, after = load_file(inputs.parent), load_file(train(inputs, tmp_path / "cl") / "model.safetensors")
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {"bert.embeddings.position_embeddings.weight"}


def test_the_loss_does_not_depend_on_the_batches(inputs):
    model = load_cross_encoder(inputs.parent.rpartition("/")[0]).eval()
    pairs = pairs_for(load_tokenizer(model.name_or_path), TokenStore(inputs.queries), TokenStore(inputs.passages), BACKBONE)
    step = GroupSampler(Groups.read(inputs.groups), 3, 2, seed=0).step(0)
    gradients = []
    for budget in (1, 50, 10_000):
        model.zero_grad()
        group_loss(model, pairs, step, LOSSES["localized-contrastive"], budget, StageRecord()).backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))
    assert torch.allclose(gradients[0], gradients[2], atol=1e-6) and torch.allclose(gradients[1], gradients[2], atol=1e-6)


def test_a_new_head_depends_on_the_seed_alone(checkpoint, tmp_path):
    one, same, other = (new_cross_encoder(checkpoint, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    # The checkpoint already is a one-label classifier, so its head is kept.
    assert all(torch.equal(one[name], other[name]) for name in one)
    config = json.loads((checkpoint / "config.json").read_text()) | {"architectures": ["BertForMaskedLM"]}
    weights = load_file(checkpoint / "model.safetensors")
    from safetensors.torch import save_file

    save_file({name: weight for name, weight in weights.items() if "classifier" not in name}, checkpoint / "model.safetensors")
    (checkpoint / "config.json").write_text(json.dumps(config))
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"learning_rate": 1e30, "warmup": 0.0}, "the loss is"), ({}, "has 2 labels; a re-ranker has one")],
)
def test_what_goes_wrong_leaves_nothing(inputs, tmp_path, changes, message):
    if not changes:
        write_bert_checkpoint(tmp_path / "untrained", labels=2)
    with pytest.raises(InputError, match=message):
        train(inputs, tmp_path / "cl", **changes)
    assert not (tmp_path / "cl").exists()


def test_a_classifier_with_two_labels_is_no_backbone(tmp_path):
    write_bert_checkpoint(tmp_path / "two", labels=2)
    with pytest.raises(InputError, match="is a classifier with 2 labels"):
        initialise(tmp_path / "two", 24, seed=1, output=tmp_path / "untrained")
    assert not (tmp_path / "untrained").exists()


def test_weights_must_be_safetensors(checkpoint, tmp_path):
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"model\.safetensors is missing"):
        initialise(checkpoint, BACKBONE.max_length, seed=1, output=tmp_path / "untrained")


def test_a_store_of_another_vocabulary_is_refused(inputs, tmp_path):
    description = json.loads(Path(inputs.passages.description).read_text()) | {"vocabulary_sha256": "0" * 64}
    with open(inputs.passages.description, "w") as stream:
        json.dump(description, stream)
    with pytest.raises(InputError, match="tokenised with another vocabulary"):
        train(inputs, tmp_path / "cl")
    assert not (tmp_path / "cl").exists()


def test_frozen_must_name_something(inputs, tmp_path):
    backbone = BackboneSettings(**(vars(BACKBONE) | {"frozen": ["no_such_part"]}))
    with pytest.raises(InputError, match="no parameter's name contains 'no_such_part'"):
        train_stage(inputs, "cl", OBJECTIVE, backbone, device="cpu", seed=3, output=tmp_path / "cl")


class TestReranking:
    """Re-ranking cuts every run from one scoring of the union."""

    @pytest.fixture
    def job(self, inputs, tmp_path):
        one = pd.DataFrame(
            [("q0", "p0", 3), ("q0", "p1", 2), ("q0", "p2", 1), ("q1", "p5", 9)], columns=["query", "passage", "score"]
        )
        two = pd.DataFrame([("q1", "p5", 3), ("q1", "p1", 2), ("q0", "p1", 1)], columns=["query", "passage", "score"])
        paths = [str(tmp_path / f"{name}.run") for name in ("one", "two")]
        for run, path in zip((one, two), paths, strict=True):
            write_run(path, run, tag="first")
        return RerankInputs(
            model=inputs.parent,
            runs=paths,
            query_ids=str(tmp_path / "queries.parquet"),
            passage_ids=str(tmp_path / "passages.parquet"),
            queries=inputs.queries,
            passages=inputs.passages,
        )

    def test_runs_are_the_models_scores_of_the_first_candidates(self, job, tmp_path):
        from sentence_transformers import CrossEncoder

        outputs = [str(tmp_path / f"{name}.reranked.run") for name in ("one", "two")]
        rerank(job, depth=2, backbone=BACKBONE, device="cpu", tag="t", outputs=outputs)
        one, two = read_run(outputs[0]), read_run(outputs[1])
        assert set(zip(one["query"], one["passage"], strict=True)) == {("q0", "p0"), ("q0", "p1"), ("q1", "p5")}
        assert set(zip(two["query"], two["passage"], strict=True)) == {("q1", "p5"), ("q1", "p1"), ("q0", "p1")}
        model = CrossEncoder(str(tmp_path / "untrained"), device="cpu")
        for run in (one, two):
            texts = [(QUERIES[int(q[1:])], PASSAGES[int(p[1:])]) for q, p in zip(run["query"], run["passage"], strict=True)]
            assert run["score"].to_numpy() == pytest.approx(model.predict(texts), abs=1e-5)

    @pytest.mark.parametrize("line", ["q0 Q0 p77 9 0.1 t", "q9 Q0 p1 9 0.1 t", "q0 Q0 p1 9 0.1", "q0 Q0 p0 9 0.1 t"])
    def test_a_bad_run_leaves_no_output(self, job, tmp_path, line):
        with open(job.runs[1], "a") as stream:
            stream.write(f"q0 Q0 p0 8 0.5 t\n{line}\n")
        outputs = [str(tmp_path / "out" / f"{name}.run") for name in ("one", "two")]
        with pytest.raises(InputError, match=r"two\.run"):
            rerank(job, depth=50, backbone=BACKBONE, device="cpu", tag="t", outputs=outputs)
        assert not (tmp_path / "out").exists()
