"""Low-rank adapters: beside the encoder's weights in training, added to them in the checkpoint."""

import copy

import torch
from torch import nn
from transformers import PreTrainedModel

from multistage.config.training import Lora
from multistage.jobs.errors import InputError


def adapted_layers(model: PreTrainedModel, adapter: Lora) -> list[str]:
    """The names of the encoder's layers that get a product. Raises InputError for a name that no linear layer has."""
    modules = model.base_model.named_modules()
    linear = [name for name, module in modules if isinstance(module, nn.Linear) and not _of_pooler(name)]
    ends = {name: name.rpartition(".")[2] for name in linear}
    if unknown := set(adapter.modules).difference(ends.values()):
        known = ", ".join(dict.fromkeys(ends.values()))
        raise InputError(f"adapter.modules: no linear layer of the encoder is called {min(unknown)!r}; choose from {known}.")
    return [name for name in linear if ends[name] in adapter.modules]


def add_adapter(model: PreTrainedModel, adapter: Lora, *, dropout: float, seed: int) -> None:
    """Put low-rank products beside layers of the encoder (Hu et al., "LoRA", ICLR 2022, eq. 3), and freeze its own weights.

    Head and pooler, which may be new, train as they are. dropout: of what enters a product. Raises InputError as
    `adapted_layers` does.
    """
    from peft import LoraConfig, inject_adapter_in_model

    encoder, targets = model.base_model, adapted_layers(model, adapter)
    torch.manual_seed(seed)
    inject_adapter_in_model(
        LoraConfig(r=adapter.rank, lora_alpha=adapter.alpha, lora_dropout=dropout, target_modules=targets), encoder
    )
    for name, parameter in encoder.named_parameters():
        if _of_pooler(name):
            parameter.requires_grad_()


def merged(model: PreTrainedModel) -> PreTrainedModel:
    """A copy of the model to be saved: its layers are the plain model's again, with the products added to their weights."""
    from peft.tuners.lora import LoraLayer

    plain = copy.deepcopy(model)
    for name, module in list(plain.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            plain.set_submodule(name, module.get_base_layer())
    return plain


def _of_pooler(name: str) -> bool:
    return name.partition(".")[0] == "pooler"
