"""What the config's models say, for editors (a JSON schema) and for readers (a reference page)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from multistage.config.fields import FORMS
from multistage.config.whole import Config

Schema = dict[str, Any]
TYPES = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false", "null": "null"}
LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
INTRODUCTION = """# The config, key by key

{description} A key without a default is required. Unknown keys, names that are not defined and settings that contradict
each other stop Snakemake before anything runs.

This page is made of the models in `multistage/config/` by `python -m multistage schema`, as is `schemas/config.schema.json`, by
which editors complete and check config files.
"""


def write_documents(root: Path) -> None:
    """Write schemas/config.schema.json and docs/config.md of the repository at `root`."""
    (root / "schemas" / "config.schema.json").write_text(editor_schema(), encoding="utf-8")
    (root / "docs" / "config.md").write_text(reference(), encoding="utf-8")


def editor_schema() -> str:
    """The JSON schema of one config file, with a line for each key.

    A file may hold a part of the config: no key is required, and several kinds may fit a part of an entry (anyOf for oneOf).
    """
    renamed = {"title": None, "required": None, "oneOf": "anyOf"}

    def for_editors(node: Schema) -> Schema:
        return {name: value for key, value in node.items() if (name := renamed.get(key, key)) is not None}

    schema = json.loads(json.dumps(Config.model_json_schema()), object_hook=for_editors)
    models = ",\n".join(f'"{name}": {_keys(model)}' for name, model in schema.pop("$defs").items())
    dialect = '"$schema": "https://json-schema.org/draft/2020-12/schema"'
    return f'{{{dialect},\n"$defs": {{\n{models}\n}},\n{_keys(schema)[1:]}\n'


def _keys(model: Schema) -> str:
    """A model's schema with a line for each of its keys."""
    about = {name: value for name, value in model.items() if name != "properties"}
    keys = ",\n".join(f'  "{name}": {json.dumps(key, ensure_ascii=False)}' for name, key in model["properties"].items())
    return f'{json.dumps(about, ensure_ascii=False)[:-1]}, "properties": {{\n{keys}}}}}'


def reference() -> str:
    """The reference page, Markdown: a section for each section of the config, a table for each kind of entry."""
    schema = Config.model_json_schema()
    definitions = schema["$defs"]
    sections = {name: _models(node, definitions) for name, node in schema["properties"].items()}
    plain = {name: schema["properties"][name] for name, models in sections.items() if not models}
    parts = [INTRODUCTION.format(description=_line(schema)), _table({"properties": plain}, definitions)]
    for name, models in sections.items():
        about = schema["properties"][name]
        parts += [f"## {name}\n"] if models else []
        parts += [f"{_line(about)}\n"] if _entries(about) else []
        for model in models:
            parts += [f"### {name}: {_title(model, models)}\n"] if len(models) > 1 else []
            parts += [f"{_line(model)}\n", _table(model, definitions)]
    return "\n".join(parts)


def _entries(node: Schema) -> Schema | None:
    """What the entries of a mapping by name are; None for another node."""
    return node.get("additionalProperties") or next(iter(node.get("patternProperties", {}).values()), None)


def _models(node: Schema, definitions: dict[str, Schema]) -> list[Schema]:
    """The models that a key's value may be or, of a mapping by name, its entries."""
    node = _entries(node) or node
    alternatives = [node, *node.get("oneOf", []), *node.get("anyOf", [])]
    return [definitions[each["$ref"].rpartition("/")[2]] for each in alternatives if "$ref" in each]


def _title(model: Schema, models: list[Schema]) -> str:
    """`kind: bm25`, or the first key that not all of a section's models have."""
    keys = model["properties"]
    if "kind" in keys:
        return f"`kind: {keys['kind']['const']}`"
    own = [key for key in keys if not all(key in other["properties"] for other in models)]
    return f"with `{own[0]}`" if own else "with no more keys"


def _line(node: Schema) -> str:
    """A description on one line of a Markdown table."""
    return " ".join(node.get("description", "").split()).replace("|", "\\|")


def _table(model: Schema, definitions: dict[str, Schema]) -> str:
    rows = [f"| {' | '.join(row)} |" for row in dict.fromkeys(_rows(model, definitions))]
    return "\n".join(["| key | value | default | meaning |", "|---|---|---|---|", *rows, ""])


def _rows(model: Schema, definitions: dict[str, Schema], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """(key, value, default, meaning) of each key of a model, and of the models that stand in it."""
    for name, node in model["properties"].items():
        if name != "kind":
            default = json.dumps(node["default"]).replace('"', "") if "default" in node else ""
            yield f"`{prefix}{name}`", _value(node), default and f"`{default}`", _line(node)
        for inner in _models(node, definitions):
            yield from _rows(inner, definitions, f"{prefix}{name}.*." if _entries(node) else f"{prefix}{name}.")


def _value(node: Schema) -> str:
    """What a value may be, in words."""
    if "enum" in node:
        return ", ".join(f"`{each}`" for each in node["enum"])
    if "anyOf" in node:
        return " or ".join(map(_value, node["anyOf"]))
    if node.get("type") == "array":
        return f"list of {_value(node['items'])}" + (", at least one" if "minItems" in node else "")
    form = FORMS.get(node.get("pattern", "")) or TYPES.get(node.get("type", ""), "keys")
    form = form.partition(" (")[0].removeprefix("an ").removeprefix("a ")
    return ", ".join([form, *(f"{sign} {node[limit]}" for limit, sign in LIMITS.items() if limit in node)])
