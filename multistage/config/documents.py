"""What the config's models say, for editors (a JSON schema) and for readers (a reference page)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from multistage.config.fields import MD5, NAME, RECIPE, SHA256
from multistage.config.whole import Config
from multistage.measures import PATTERN

Schema = dict[str, Any]
PATTERNS = {NAME: "name", RECIPE: "recipe", PATTERN: "measure", SHA256: "64 hexadecimal digits", MD5: "32 hexadecimal digits"}
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
    for path, text in ((root / "schemas" / "config.schema.json", editor_schema()), (root / "docs" / "config.md", reference())):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


def editor_schema() -> str:
    """The JSON schema of one config file. It may hold a part of the config, so no key is required."""
    return (
        _laid_out({"$schema": "https://json-schema.org/draft/2020-12/schema", **_for_editors(Config.model_json_schema())})
        + "\n"
    )


def reference() -> str:
    """The reference page, Markdown: a section for each section of the config, a table for each kind of entry."""
    schema = Config.model_json_schema()
    definitions = schema["$defs"]
    sections = {name: _models(node, definitions) for name, node in schema["properties"].items()}
    plain = {name: node for name, node in schema["properties"].items() if not sections[name]}
    parts = [INTRODUCTION.format(description=_line(schema)), _table({**schema, "properties": plain}, definitions)]
    for name, models in sections.items():
        node = schema["properties"][name]
        if models:
            parts.append(f"## {name}\n")
        if _entries(node) is not None:
            parts.append(f"{_line(node)}\n")
        for model in models:
            parts += [f"### {name}: {_title(model, models)}\n"] if len(models) > 1 else []
            parts += [f"{_line(model)}\n", _table(model, definitions)]
    return "\n".join(parts)


def _for_editors(node: Any) -> Any:
    """A schema without titles and required keys, and with anyOf for oneOf: several kinds may fit a part of an entry."""
    if isinstance(node, list):
        return [_for_editors(each) for each in node]
    if not isinstance(node, dict):
        return node
    kept = {name: _for_editors(value) for name, value in node.items() if name not in ("title", "required")}
    return {"anyOf" if name == "oneOf" else name: value for name, value in kept.items()}


def _laid_out(node: Any, name: str = "", indent: int = 0) -> str:
    """JSON with a line for each key of the config."""
    text = json.dumps(node, ensure_ascii=False)
    if name not in ("$defs", "properties") and '"properties": ' not in text:
        return text
    lines = [f"{' ' * (indent + 1)}{json.dumps(key)}: {_laid_out(each, key, indent + 1)}" for key, each in node.items()]
    return "{\n" + ",\n".join(lines) + f"\n{' ' * indent}}}"


def _entries(node: Schema) -> Schema | None:
    """What the entries of a mapping by name are; None for another node."""
    patterns = list(node.get("patternProperties", {}).values())
    return node.get("additionalProperties") or (patterns[0] if patterns else None)


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
            yield from _rows(inner, definitions, f"{prefix}{name}." if _entries(node) is None else f"{prefix}{name}.*.")


def _value(node: Schema) -> str:
    """What a value may be, in words."""
    if "enum" in node:
        return ", ".join(f"`{each}`" for each in node["enum"])
    if "anyOf" in node:
        return " or ".join(map(_value, node["anyOf"]))
    if node.get("type") == "array":
        return f"list of {_value(node['items'])}" + (", at least one" if "minItems" in node else "")
    kind = PATTERNS.get(node.get("pattern", "")) or TYPES.get(node.get("type", ""), "keys")
    return ", ".join([kind, *(f"{sign} {node[limit]}" for limit, sign in LIMITS.items() if limit in node)])
