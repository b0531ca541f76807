"""What a result was made from: package versions and digests of inputs."""

import platform
from importlib.metadata import version
from pathlib import Path

from multistage.jobs.files import sha256

PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a model's bytes."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def digests(**inputs: str | Path) -> dict[str, str]:
    """SHA-256 of each named input file."""
    return {name: sha256(path) for name, path in inputs.items()}
