"""The trunk in bfloat16, pooler and head in float32: here on a CPU, which has the same autocast."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from multistage.model.precision import use_bfloat16_trunk

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 100}


@pytest.fixture(params=["bert", "electra", "roberta"])
def model(request):
    torch.manual_seed(0)
    config = AutoConfig.for_model(request.param, num_labels=1, max_position_embeddings=40, pad_token_id=0, **SIZES)
    return AutoModelForSequenceClassification.from_config(config).eval()


def test_trunk_in_bfloat16_head_in_float32(model):
    inputs = {"input_ids": torch.randint(1, 100, (200, 12)), "attention_mask": torch.ones(200, 12, dtype=torch.long)}
    with torch.no_grad():
        exact = model(**inputs).logits
    seen = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda module, _, output, name=name: seen.__setitem__(name, output.dtype))
    use_bfloat16_trunk(model)
    with torch.no_grad():
        scores = model(**inputs).logits
    in_float32 = {name for name, dtype in seen.items() if dtype == torch.float32}
    assert in_float32 and all("classifier" in name or "pooler" in name for name in in_float32)
    assert {dtype for name, dtype in seen.items() if name not in in_float32} == {torch.bfloat16}
    assert not any("classifier" in name or "pooler" in name for name in seen.keys() - in_float32)
    assert scores.dtype == torch.float32 and 0 < (scores - exact).abs().max() < 0.05
    assert len(scores.unique()) > 195 > len(scores.bfloat16().unique())


def test_gradients_reach_every_parameter_in_float32(model):
    inputs = {"input_ids": torch.randint(1, 100, (4, 12)), "attention_mask": torch.ones(4, 12, dtype=torch.long)}
    names = set(model.state_dict())
    use_bfloat16_trunk(model)
    model(**inputs).logits.sum().backward()
    assert set(model.state_dict()) == names
    assert all(parameter.grad.dtype == torch.float32 for parameter in model.parameters() if parameter.grad is not None)
    assert sum(parameter.grad is None for parameter in model.parameters()) == 0
