"""Scores and gradients are the same where the last layer computes one token, pairs are packed, and layers compiled."""

import copy

import pytest
import torch
from torch._dynamo.utils import counters

from multistage.model.checkpoint import set_dropout
from multistage.model.speed import MODEL_TYPES, compile_layers, read_first_token_only
from small_models import random_model


def pairs(sizes, packed):
    """Random pairs of so many tokens, padded and as the model is given them."""
    ids = torch.randint(1, 100, (len(sizes), max(sizes)))
    mask = (torch.arange(max(sizes)) < torch.tensor(sizes)[:, None]).long()
    padded = {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": torch.arange(max(sizes)).expand(ids.shape) % 2}
    own = {name: values[mask.bool()][None] for name, values in padded.items()} | {"attention_mask": mask}
    return padded, own if packed else padded


@pytest.mark.parametrize(
    ("sizes", "packed"),
    [([12, 7, 12, 2, 12], False), ([12] * 5, False), ([12, 7, 12, 2, 12], True), ([12] * 5, True), ([9], True)],
)
@pytest.mark.parametrize("kind", MODEL_TYPES)
def test_scores_and_gradients_are_the_models(kind, sizes, packed):
    plain = random_model(kind, type_vocab_size=2)
    ours = copy.deepcopy(plain)
    read_first_token_only(ours)
    read_first_token_only(ours)  # the second time changes nothing
    padded, own = pairs(sizes, packed)
    scores = [plain(**padded).logits, ours(**own).logits]
    assert torch.allclose(*scores, atol=1e-6)
    for values in scores:
        values.square().sum().backward()
    gradients = [{name: p.grad for name, p in model.named_parameters() if p.grad is not None} for model in (plain, ours)]
    assert gradients[0].keys() == gradients[1].keys()
    for name, expected in gradients[0].items():
        assert torch.allclose(expected, gradients[1][name], atol=1e-6), name
    if not packed:  # On a CPU PyTorch's attention for nested tensors reads their lengths.
        ours.to("meta")(**{name: values.to("meta") for name, values in own.items()})  # of these no value can be read


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", MODEL_TYPES)
def test_dropout_falls_where_it_falls_otherwise(kind, packed):
    """Attention, its output and the feed-forward block each drop units: their mean effect is the same."""
    plain = random_model(kind, attention_probs_dropout_prob=0.3, hidden_dropout_prob=0.3).train()
    ours = copy.deepcopy(plain)
    read_first_token_only(ours)
    ids = torch.randint(1, 100, (1, 12)).expand(4000, 12)
    mask = torch.ones_like(ids)
    with torch.no_grad():
        expected = plain(input_ids=ids, attention_mask=mask).logits
        found = ours(input_ids=ids.reshape(1, -1) if packed else ids, attention_mask=mask).logits
    assert found.mean().item() == pytest.approx(expected.mean().item(), abs=4 * expected.std().item() / 2000**0.5)
    assert found.std().item() == pytest.approx(expected.std().item(), rel=0.1)


@pytest.mark.parametrize(("packed", "steps", "graphs"), [(False, 200, 6), (True, 20, 14)])
def test_compiled_layers_serve_batches_of_all_sizes(packed, steps, graphs):
    """Each of two kinds of layer is compiled for gradients and for none, whole unless pairs are packed."""
    torch._dynamo.reset()
    counters.clear()
    plain, ours = (random_model("bert", num_hidden_layers=3).train() for _ in range(2))
    set_dropout(plain, 0.1), set_dropout(ours, 0.1)
    for model in (plain, ours):
        read_first_token_only(model)
    names = list(ours.state_dict())
    compile_layers(ours, backend="eager")
    for step in range(steps):
        _, own = pairs([2 + step * place % 11 for place in range(3, 5 + step % 5)], packed)
        for model in (plain, ours):
            torch.manual_seed(step)
            with torch.set_grad_enabled(step % 4 > 0):
                model.scores = model(**own).logits
        assert torch.equal(plain.scores, ours.scores)
    assert 0 < counters["stats"]["unique_graphs"] <= graphs
    assert packed or not counters["graph_break"]
    assert list(ours.state_dict()) == names


def test_other_models_are_left_alone():
    model = random_model("distilbert", hidden_dim=64)
    read_first_token_only(model)
    assert not any("forward" in vars(module) for module in model.modules())
