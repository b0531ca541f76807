"""A backbone's settings, shared by training and scoring."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BackboneSettings:
    """Lengths in tokens, dropout, and what is frozen; the keys are explained in config.yaml."""

    max_length: int
    max_query_length: int
    dropout: float
    frozen: list[str]
