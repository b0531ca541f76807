"""The gradient of a step is exact, however its pairs are split, recomputed, or shared out to processes."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from multistage.data.sampling import Groups, GroupSampler
from multistage.data.tokens import load_tokenizer
from multistage.losses import LOSSES
from multistage.model.adapter import add_adapter, merged
from multistage.model.checkpoint import load_cross_encoder, save_cross_encoder, set_dropout
from multistage.model.speed import MODEL_TYPES, read_first_token_only
from multistage.scoring.scoring import score_pairs
from multistage.training import parallel
from multistage.training.gradients import Memory, accumulate, prepare, work_of
from small_models import random_model
from small_stage import ADAPTER, JOBS, train, untrained_model

CPU = torch.device("cpu")
LOSS = LOSSES["localized-contrastive"]


def step_of(inputs):
    groups = Groups.read(inputs.groups)
    return GroupSampler(groups, contrast=True, size=4, queries_per_step=2, seed=0).step(0)


def gradient(model, pairs, step, memory):
    """The parameters' gradient of one step, as a vector, and its loss."""
    model.zero_grad()
    loss, _ = accumulate(
        model, prepare(pairs, step, memory, seed=(1, 2), device=CPU), LOSS, groups=2, tokens_kept=memory.tokens_kept
    )
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None]), float(loss)


def one_batch(model, pairs, step):
    """The same by plain PyTorch: all pairs in one forward pass, one backward pass."""
    model.zero_grad()
    inputs = {name: torch.from_numpy(values) for name, values in pairs.batch(step.query_rows, step.passage_rows).items()}
    logits = model(**inputs).logits[:, 0]
    losses = []
    for group, grades in enumerate(torch.from_numpy(step.targets["judgements"])):
        scores = logits[torch.from_numpy(step.group == group)]
        losses.append(torch.nn.functional.cross_entropy(scores, (grades[: len(scores)] > 0).nonzero()[0, 0]))
    loss = torch.stack(losses).mean()
    loss.backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None]), loss.item()


@pytest.mark.parametrize(
    ("memory", "chunks", "batches"),
    [
        (Memory(10_000, 10_000), 1, 1),
        (Memory(40, 10_000), 1, 3),
        (Memory(40, 50), 2, 4),
        (Memory(1, 50), 2, 8),
        (Memory(1, 1), 2, 8),
        (Memory(40, 50, packed=True), 2, 4),
    ],
)
def test_it_equals_the_one_batch_gradient(inputs, memory, chunks, batches):
    model, pairs = untrained_model(inputs)
    step = step_of(inputs)
    prepared = prepare(pairs, step, memory, seed=(1, 2), device=CPU)
    assert (len(prepared), sum(len(chunk.batches) for chunk in prepared)) == (chunks, batches)
    assert work_of(prepared).pairs == 8
    expected, expected_loss = one_batch(model, pairs, step)
    found, loss = gradient(model, pairs, step, memory)
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    assert torch.allclose(found, expected, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", MODEL_TYPES)
def test_a_step_waits_for_no_device(inputs, monkeypatch, kind, loss):
    """Of a device whose tensors have no values none can be read, which would wait for it, nor can any meet one of the CPU."""
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    _, pairs = untrained_model(inputs)
    model = random_model(kind, type_vocab_size=2)
    read_first_token_only(model)
    step = step_of(inputs)
    step.targets["scores"] = np.float32(step.targets["order"])
    chunks = prepare(pairs, step, Memory(40, 50), seed=(1, 2), device=torch.device("meta"))
    accumulate(model.to("meta").train(), chunks, LOSSES[loss], groups=2, tokens_kept=50)
    assert {parameter.grad.device.type for parameter in model.parameters() if parameter.grad is not None} == {"meta"}


def test_an_adapter_trains_as_in_peft_and_is_merged(inputs, tmp_path):
    """The initial weights, a step's gradient and, when the adapter is of some weight, the scores of the model as written."""
    ours, pairs = untrained_model(inputs)
    add_adapter(ours, ADAPTER, dropout=0.0, seed=5)
    plain = AutoModelForSequenceClassification.from_pretrained(ours.name_or_path)
    torch.manual_seed(5)
    names = {"target_modules": ["query", "value"], "modules_to_save": ["pooler", "classifier"]}
    plain = get_peft_model(plain, LoraConfig(r=4, lora_alpha=8, **names)).eval()
    trained = [{name: p for name, p in model.named_parameters() if p.requires_grad} for model in (ours, plain)]
    assert [f"base_model.model.{name}" for name in trained[0]] == [
        name.replace("modules_to_save.default.", "") for name in trained[1]
    ]
    for name, own, other in zip(trained[0], *(each.values() for each in trained), strict=True):
        assert torch.equal(own, other), name
        if "lora_B" in name:  # zero so far
            own.data.normal_(std=0.3)
            other.data.copy_(own)
    step = step_of(inputs)
    expected, expected_loss = one_batch(plain, pairs, step)
    found, loss = gradient(ours, pairs, step, Memory(40, 50))
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    assert torch.allclose(found, expected, atol=1e-7, rtol=1e-5)
    save_cross_encoder(merged(ours), load_tokenizer(ours.name_or_path), 24, tmp_path)
    rows = np.divmod(np.arange(12), 6)
    parent, beside, within = (
        score_pairs(model, pairs, *rows, tokens_per_batch=100)
        for model in (untrained_model(inputs)[0], ours, load_cross_encoder(tmp_path, precision="float32"))
    )
    assert beside == pytest.approx(within, abs=1e-6) and abs(beside - parent).max() > 1e-4


def test_recomputed_activations_drop_the_same_units(inputs):
    """With dropout on, the cached gradient equals that of the same micro-batches kept, to the last bit."""
    model, pairs = untrained_model(inputs)
    set_dropout(model.train(), 0.3)
    step = step_of(inputs)
    chunks = prepare(pairs, step, Memory(40, 10_000), seed=(1, 2), device=CPU)

    def with_activations_of(tokens):
        model.zero_grad()
        loss, _ = accumulate(model, chunks, LOSS, groups=2, tokens_kept=tokens)
        return torch.cat([parameter.grad.flatten() for parameter in model.parameters()]), loss

    (kept, loss), (half, half_loss), (none, none_loss) = map(with_activations_of, (10_000, 60, 0))
    assert loss == half_loss == none_loss
    assert torch.allclose(kept, half, atol=1e-8) and torch.allclose(kept, none, atol=1e-8)
    set_dropout(model, 0.0)
    assert not torch.allclose(with_activations_of(10_000)[0], kept, atol=1e-4), "dropout did nothing"


def test_dropout_follows_the_seed_of_the_step(inputs):
    _, pairs = untrained_model(inputs)
    seeds = [
        tuple(
            batch.seed
            for chunk in prepare(pairs, step_of(inputs), Memory(40, 50), seed=seed, device=CPU)
            for batch in chunk.batches
        )
        for seed in ((1, 2), (1, 2), (1, 3), (2, 2))
    ]
    assert seeds[0] == seeds[1] and len(set(seeds)) == 3 and len(set(seeds[0])) == 4


@pytest.mark.parametrize(("memory", "during"), [(Memory(10_000, 10_000), True), (Memory(40, 50), False), (Memory(1, 1), False)])
def test_each_gradient_is_summed_once_when_the_last_backward_pass_has_it(inputs, monkeypatch, memory, during):
    model, pairs = untrained_model(inputs)
    sums = []

    def all_reduce(gradient, async_op):
        sums.append((gradient.data_ptr(), sum(parameter.grad is not None for parameter in model.parameters())))
        return SimpleNamespace(wait=lambda: None)

    monkeypatch.setattr(parallel, "process_count", lambda: 2)
    monkeypatch.setattr(parallel.dist, "all_reduce", all_reduce)
    gradient(model, pairs, step_of(inputs), memory)
    found = [parameter.grad.data_ptr() for parameter in model.parameters() if parameter.grad is not None]
    assert sorted(found) == sorted(pointer for pointer, _ in sums)
    # In the only backward pass, the first is summed when most are still to come.
    assert (sums[0][1] < len(found) / 2) == during


@pytest.mark.parametrize("adapter", [None, ADAPTER])
def test_two_processes_train_what_one_does_with_twice_the_batch(inputs, tmp_path, adapter):
    """Each of the two draws one of a step's two groups; gradients are summed by gloo."""
    settings = {"backbone": {"dropout": 0.0, "adapter": adapter}, "learning_rate": 1e-3}
    one, two = train(inputs, tmp_path / "one", **settings), tmp_path / "two"
    started = JOBS.Process(target=train, args=(inputs, two), kwargs={"training": {"processes": 2}, **settings})
    started.start()
    started.join(timeout=300)
    assert started.exitcode == 0
    weights, shared = load_file(one / "model.safetensors"), load_file(two / "model.safetensors")
    before = load_file(inputs.parent)
    # A softmax over scores does not see a shift of all: AdamW scales the rounding in that bias's gradient up to a step.
    names = [name for name in weights if name != "classifier.bias"]
    moved = max(float((weights[name] - before[name]).abs().max()) for name in names)
    apart = max(float((weights[name] - shared[name]).abs().max()) for name in names)
    assert moved > 2e-3 and apart < 5e-5
    records = [json.loads((folder / "training.json").read_text()) for folder in (one, two)]
    assert [record["run"]["processes"] for record in records] == [1, 2]
    for name in ("loss", "kendall_tau"):
        assert [p[name] for p in records[0]["loss"]] == pytest.approx([p[name] for p in records[1]["loss"]], abs=1e-5)
    for own, shared in zip(*(record["validation"] for record in records), strict=True):
        assert own == pytest.approx(shared)
    assert records[0]["pairs"] == 2 * records[1]["pairs"]
