"""The encoder in bfloat16; pooler, head and scores in float32."""

import pytest
import torch

from multistage.model.precision import compute_in, resolve, use_bfloat16
from multistage.model.speed import read_first_token_only
from small_models import random_model

IDS = torch.randint(1, 100, (200, 12), generator=torch.Generator().manual_seed(0))
INPUTS = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS)}


def re_ranker(kind):
    model = random_model(kind)
    read_first_token_only(model)
    return model


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", ["bert", "electra", "roberta"])
def test_encoder_in_bfloat16_head_in_float32(kind, training):
    model, seen = re_ranker(kind), {}
    with torch.no_grad():
        exact = model(**INPUTS).logits
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda module, _, output, name=name: seen.__setitem__(name, output.dtype))
    use_bfloat16(model, training)
    with torch.no_grad():
        scores = model(**INPUTS).logits
        # As sentence-transformers calls it, past the module's hooks.
        assert model.base_model.forward(**INPUTS).last_hidden_state.dtype == torch.float32
    assert {"classifier" in name or "pooler" in name for name in seen} == {True, False}
    for name, dtype in seen.items():
        assert dtype == (torch.float32 if "classifier" in name or "pooler" in name else torch.bfloat16), name
    assert scores.dtype == torch.float32 and 0 < (scores - exact).abs().max() < 0.05
    assert torch.corrcoef(torch.cat([scores, exact], 1).T)[0, 1] > 0.999
    assert len(scores.unique()) > 195 > len(scores.bfloat16().unique())


@pytest.mark.parametrize("kind", ["bert", "electra", "roberta"])
def test_gradients_reach_every_parameter_in_float32(kind):
    plain, model = re_ranker(kind), re_ranker(kind)
    use_bfloat16(model, training=True)
    for each, fused in ((plain, True), (model, False)):
        with torch.autograd.profiler.profile() as calls:
            each(**INPUTS).logits.sum().backward()
        assert any("flash_attention" in call.name for call in calls.function_events) == fused, "slow in bfloat16"
    for (name, exact), parameter in zip(plain.named_parameters(), model.parameters(), strict=True):
        assert parameter.dtype == parameter.grad.dtype == torch.float32
        assert torch.linalg.vector_norm(parameter.grad - exact.grad) <= 0.1 * torch.linalg.vector_norm(exact.grad) + 1e-4, name


@pytest.mark.parametrize(
    "processor, expected",
    [({"avx512_bf16": True}, "bfloat16"), ({"amx_bf16": True}, "bfloat16"), ({"avx512_bf16": False}, "float32")],
)
def test_auto_takes_bfloat16_where_the_processor_has_it(processor, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: expected == "bfloat16")
    cpu = torch.device("cpu")
    assert resolve("auto", cpu) == resolve("auto", torch.device("cuda")) == expected
    assert {resolve(precision, cpu) for precision in ("float32", "bfloat16")} == {"float32", "bfloat16"}


def test_float32_is_float32_whoever_multiplies():
    model = random_model("bert")
    compute_in("float32", model, training=False)
    generator = torch.Generator().manual_seed(1)
    left, right = (torch.randn(shape, generator=generator) for shape in ((300, 384), (384, 200)))
    assert (left @ right - (left.double() @ right.double())).abs().max() < 1e-4  # in bfloat16: 0.1
