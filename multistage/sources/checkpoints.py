"""What is taken of a pre-trained model, wherever it comes from: safetensors, JSON and vocabulary files, never a pickle."""

import logging
from pathlib import Path, PurePosixPath

from multistage.jobs.errors import InputError

logger = logging.getLogger("jobs")
CHECKPOINT_SUFFIXES = {".json", ".safetensors", ".txt", ".model"}
# ColBERT's own settings: JSON by another name.
CHECKPOINT_NAMES = {"artifact.metadata"}
WEIGHTS = "model.safetensors"


def is_checkpoint_file(name: str) -> bool:
    """Whether a file of a model, or of a folder in it, is taken."""
    path = PurePosixPath(name)
    return path.suffix in CHECKPOINT_SUFFIXES or path.name in CHECKPOINT_NAMES


def require_model(folder: Path, place: str) -> None:
    """Raise InputError, which speaks of `place`, unless `folder` holds a config and weights in one safetensors file."""
    for name in ("config.json", WEIGHTS):
        if not (folder / name).is_file():
            raise InputError(f"{place}: there is no {name}, so this is no model that can be taken.")


def complete_tokenizer(folder: Path, place: str) -> None:
    """Make the tokenizer.json of a model that has its vocabulary only (vocab.txt, or vocab.json and merges.txt).

    transformers converts it and reads local files alone; the other files stay as they are. Raises InputError, which speaks of
    `place`, when it cannot.
    """
    if (folder / "tokenizer.json").is_file():
        return
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the library raises nothing more specific
        raise InputError(f"{place}: there is no tokenizer.json, and none can be made of the other files ({error}).") from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast) or len(tokenizer.get_vocab()) <= len(tokenizer.all_special_tokens):
        raise InputError(f"{place}: there is no tokenizer.json, and none can be made: its vocabulary is missing.")
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    logger.info("%s: tokenizer.json is made of its vocabulary of %s tokens", place, f"{len(tokenizer.get_vocab()):,}")
