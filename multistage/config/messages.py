"""What is wrong with a config, in plain words: pydantic's errors with the key, what was found and what is possible."""

import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from multistage.config.fields import FORMS

# A number that YAML reads as text, since it lacks the dot or the sign of the exponent.
EXPONENT = re.compile(r"([-+]?[0-9]+)(\.[0-9]*)?[eE]([-+]?)([0-9]+)")

# Pydantic's words for types, and plainer ones.
PLAIN = {"a valid string": "text", "a valid integer": "an integer", "a valid boolean": "true or false", "a valid ": "a "}


def explain(error: ValidationError) -> str:
    """One line for each thing that is wrong with a config."""
    found = [each for each in error.errors(include_url=False) if each["type"] != "default_factory_not_called"]
    return "\n".join(dict.fromkeys(f"config: {_sentence(each)}." for each in found))


def _sentence(error: ErrorDetails) -> str:
    key, kind, context = _key(error["loc"]), error["type"], error.get("ctx", {})
    prefix, value = f"{key}: " if key else "", _plain(error["input"])
    if kind == "unknown_key":
        return f"unknown key {f'{key}.' if key else ''}{context['key']}; choose from {context['known']}"
    if kind == "missing":
        section, _, name = key.rpartition(".")
        return f"{section}: the key {name} is missing" if section else f"the key {name} is missing"
    if kind == "which_key":
        return f"{prefix}give exactly one of the keys {error['msg']}"
    if kind == "kind":
        given = error["input"].get("kind") if isinstance(error["input"], dict) else None
        return f"{prefix}{f'the kind {given!r} is unknown' if given else 'the key kind is missing'}; choose from {error['msg']}"
    if kind == "literal_error":
        return f"{prefix}{value} is unknown; choose from {context['expected'].replace(' or ', ', ')}"
    if kind == "string_pattern_mismatch":
        return f"{prefix}{value} is not {FORMS[context['pattern']]}"
    if kind == "value_error":
        return f"{prefix}{context['error']}"
    number = EXPONENT.fullmatch(error["input"]) if isinstance(error["input"], str) and kind.startswith("float") else None
    if number:
        digits, fraction, sign, exponent = number.groups()
        return f"{prefix}YAML reads {error['input']} as text; write {digits}{fraction or '.0'}e{sign or '+'}{exponent}"
    if error["loc"][-1:] == ("[key]",) and not isinstance(error["input"], str):
        return f'{_key(error["loc"][:-2])}: the key {value} must be text; write "{value}"'
    if kind.endswith("_type") and kind.startswith(("model", "dict")):
        return f"{key or 'the config'} is {value}; it should have keys"
    expected = re.sub("^(Input|String|List|Value) | after validation", "", error["msg"])
    for theirs, plain in PLAIN.items():
        expected = expected.replace(theirs, plain)
    return f"{key} is {value}; it {expected}"


def _key(place: Sequence[int | str]) -> str:
    """The key of a place, without the tags of unions and pydantic's mark of a mapping's key."""
    key = ""
    for part in place:
        if isinstance(part, int):
            key += f"[{part}]"
        elif not part.startswith("<") and part != "[key]":
            key += f".{part}" if key else part
    return key


def _plain(value: Any) -> str:
    """A value as YAML would have it, cut to a line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
