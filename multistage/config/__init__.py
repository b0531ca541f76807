"""The config: its one definition, and what recipes are."""

from multistage.config.data import Draw
from multistage.config.evaluation import Evaluation
from multistage.config.training import Backbone, Lora, Objective, PairSettings, Training, Validation
from multistage.config.whole import Config, complete_config

__all__ = [
    "Backbone",
    "Config",
    "Draw",
    "Evaluation",
    "Lora",
    "Objective",
    "PairSettings",
    "Training",
    "Validation",
    "complete_config",
]
