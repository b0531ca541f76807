"""What is wrong with a config, in plain words: pydantic's errors with the key, what was found and what is possible."""

import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from multistage.config.fields import FORMS
from multistage.jobs.errors import without_secrets

# A number that YAML reads as text, since it lacks the dot or the sign of the exponent.
EXPONENT = re.compile(r"([-+]?[0-9]+)(\.[0-9]*)?[eE]([-+]?)([0-9]+)")

# Pydantic's words, and plainer ones.
PLAIN = {
    "^(Input|String|List|Dictionary|Value) | after validation": "",
    "be a valid dictionary.*": "have keys",
    "a valid string": "text",
    "a valid integer": "an integer",
    "a valid boolean": "true or false",
    "a valid ": "a ",
}


def explain(error: ValidationError) -> str:
    """One line for each thing that is wrong with a config."""
    found = [each for each in error.errors(include_url=False) if each["type"] != "default_factory_not_called"]
    return "\n".join(dict.fromkeys(f"config: {_sentence(each)}." for each in found))


def _sentence(error: ErrorDetails) -> str:
    key, kind, given, context = _key(error["loc"]), error["type"], error["input"], error.get("ctx", {})
    if kind == "missing":
        return f"{key} is missing"
    if kind == "value_error":
        return f"{key}: {context['error']}" if key else str(context["error"])
    if kind.startswith("float") and isinstance(given, str) and (number := EXPONENT.fullmatch(given)):
        digits, fraction, sign, exponent = number.groups()
        return f"{key}: YAML reads {given} as text; write {digits}{fraction or '.0'}e{sign or '+'}{exponent}"
    if error["loc"][-1:] == ("[key]",) and not isinstance(given, str):
        return f'{_key(error["loc"][:-2])}: the key {_plain(given)} must be text; write "{_plain(given)}"'
    expected = f"should be {FORMS[context['pattern']]}" if kind == "string_pattern_mismatch" else error["msg"]
    for theirs, plain in PLAIN.items():
        expected = re.sub(theirs, plain, expected)
    return f"{key or 'the config'} is {_plain(given)}; it {expected}"


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
    text = without_secrets(text) if "://" in text else text
    return text if len(text) <= 80 else f"{text[:77]}..."
