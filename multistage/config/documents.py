"""What the config's models say, for editors (a JSON schema) and for readers (a reference page)."""

import json
from pathlib import Path
from typing import Any

from multistage.config.fields import FORMS, TOO_MANY
from multistage.config.whole import Config

Schema = dict[str, Any]
TYPES = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false", "null": "null"}
LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
INTRODUCTION = """Unknown keys, names that are not defined and settings that contradict each other stop Snakemake at once.

This page is made of the models in `multistage/config/` by `python -m multistage schema`, as is `schemas/config.schema.json`, by
which editors complete and check config files.
"""


def write_documents(root: Path) -> None:
    """Write schemas/config.schema.json and docs/config.md of the repository at `root`."""
    (root / "schemas" / "config.schema.json").write_text(editor_schema(), encoding="utf-8")
    (root / "docs" / "config.md").write_text(reference(), encoding="utf-8")


def editor_schema() -> str:
    """The JSON schema of one config file, with a line for each model.

    A file may hold a part of the config: no key is required, and several kinds may fit a part of an entry (anyOf for oneOf).
    """
    renamed = {"title": None, "required": None, "oneOf": "anyOf"}

    def for_editors(node: Schema) -> Schema:
        return {name: value for key, value in node.items() if (name := renamed.get(key, key)) is not None}

    schema = json.loads(json.dumps(Config.model_json_schema()), object_hook=for_editors)
    models = [f'"{name}": {json.dumps(model, ensure_ascii=False)}' for name, model in schema.pop("$defs").items()]
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema
    return json.dumps(schema, ensure_ascii=False)[:-1] + ',\n"$defs": {\n' + ",\n".join(models) + "\n}}\n"


def reference() -> str:
    """The reference page, Markdown: a table for the whole config and one for each model in it, which link to one another."""
    schema = Config.model_json_schema()
    models = [f"## {name}\n\n{_table(model)}" for name, model in schema["$defs"].items()]
    return "\n".join(["# The config, key by key\n", _table(schema), INTRODUCTION, *models])


def _table(model: Schema) -> str:
    """What a model is, and the value, the default and the meaning of each of its keys."""
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, node in model["properties"].items():
        default = f"`{json.dumps(node['default'])}`".replace('"', "") if "default" in node else ""
        default = "required" if key in model.get("required", ()) else default
        rows.append(f"| `{key}` | {_value(node)} | {default} | {_line(node)} |")
    return "\n".join([_line(model), "", *rows, ""])


def _line(node: Schema) -> str:
    """A description on one line."""
    return " ".join(node.get("description", "").split()).replace("|", "\\|")


def _value(node: Schema) -> str:
    """What a value may be, in words."""
    if "$ref" in node:
        model = node["$ref"].rpartition("/")[2]
        return f"[{model}](#{model.lower()})"
    if values := node.get("enum") or ([node["const"]] if "const" in node else []):
        return ", ".join(f"`{each}`" for each in values)
    if alternatives := node.get("anyOf") or node.get("oneOf"):
        return " or ".join(map(_value, alternatives))
    if node["type"] == "array":
        return f"list of {_value(node['items'])}" + (", at least one" if "minItems" in node else "")
    if node["type"] == "object":
        entries = node.get("additionalProperties") or next(iter(node["patternProperties"].values()))
        return f"by name: {_value(entries)}"
    form = FORMS.get(node.get("pattern", ""), TYPES[node["type"]]).partition(" (")[0].removeprefix("an ").removeprefix("a ")
    limits = [f"{sign} {node[limit]}" for limit, sign in LIMITS.items() if node.get(limit, TOO_MANY) < TOO_MANY]
    return ", ".join([form, *limits])
