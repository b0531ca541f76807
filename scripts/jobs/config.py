"""The config: checked against its schema, then every name in it against what it names."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from .errors import InputError

Config = dict[str, Any]

# Where a name stands, and the section it must be found in. "*" stands for every entry of a section or a list.
REFERENCES = {
    "grid.backbones.*": "backbones",
    "grid.retrievers.*": "retrievers",
    "grid.benchmarks.*": "querysets",
    "checkpoints.*.source": "sources",
    "collections.*.source": "sources",
    "querysets.*.collection": "collections",
    "retrievers.*.checkpoint": "checkpoints",
    "teachers.*.checkpoint": "checkpoints",
    "teachers.*.retriever": "retrievers",
    "backbones.*.checkpoint": "checkpoints",
    "backbones.*.tokenizer": "checkpoints",
    "objectives.*.candidates.queryset": "querysets",
    "objectives.*.candidates.retriever": "retrievers",
    "objectives.*.candidates.teacher": "teachers",
    "validation.queryset": "querysets",
    "validation.retriever": "retrievers",
}

# Losses that compare with the teacher's scores; the others read its order alone.
SCORED_LOSSES = ("listnet", "margin-mse")


def check_config(config: Config, schema: str | Path) -> None:
    """Check a merged config. Raises InputError naming the key, what was found there and what was expected.

    First the schema (types, ranges, no unknown key), then cross-references: every name must be defined, every
    objective of every recipe too, and candidates are not deeper than what their retriever keeps.
    """
    validator = jsonschema.Draft202012Validator(yaml.safe_load(Path(schema).read_text(encoding="utf-8")))
    errors = sorted(validator.iter_errors(config), key=lambda error: (len(error.absolute_path), list(map(str, error.path))))
    if errors:
        raise InputError(_schema_message(errors[0]))
    for pattern, section in REFERENCES.items():
        for key, name in _values(config, pattern.split(".")):
            _require(key, name, config[section], f"entry of {section}")
    for place, recipe in enumerate(config["grid"]["recipes"]):
        for objective in recipe.split("-"):
            _require(f"grid.recipes[{place}] ({recipe})", objective, config["objectives"], "entry of objectives")
    _check_depths(config)
    _check_objectives(config)


def stage_objective(config: Config, recipe: str) -> Config:
    """The objective of a recipe's last stage, with what its `positions` say of that stage's position, counted from 1."""
    *before, name = recipe.split("-")
    objective = {key: value for key, value in config["objectives"][name].items() if key != "positions"}
    changes = config["objectives"][name]["positions"].get(str(len(before) + 1), {})
    for key, other in (("steps", "epochs"), ("epochs", "steps")):
        if key in changes and other not in changes:
            objective[other] = None
    return objective | changes


def needs_scores(config: Config, objective: str) -> bool:
    """Whether an objective's loss reads the teacher's scores, and not only its order."""
    return config["objectives"][objective]["loss"] in SCORED_LOSSES


def sort_keys(config: Config) -> None:
    """Sort every mapping by key, in place: Snakemake compares parameters as written, and order must rerun nothing."""
    for key in sorted(config):
        config[key] = value = config.pop(key)
        if isinstance(value, dict):
            sort_keys(value)


def _check_depths(config: Config) -> None:
    depths = [
        *((f"objectives.{name}.candidates", entry["candidates"]) for name, entry in config["objectives"].items()),
        *((f"teachers.{name}", entry) for name, entry in config["teachers"].items()),
        ("validation", config["validation"]),
        *(("grid", {"retriever": name, "depth": config["grid"]["depth"]}) for name in config["grid"]["retrievers"]),
    ]
    for key, entry in depths:
        kept = config["retrievers"][entry["retriever"]]["depth"] if "retriever" in entry else None
        if kept is not None and entry["depth"] > kept:
            raise InputError(
                f"config: {key}.depth is {entry['depth']}, but retrievers.{entry['retriever']}.depth keeps {kept} passages."
            )


def _check_objectives(config: Config) -> None:
    processes = config["training"]["processes"]
    for name, entry in config["objectives"].items():
        key = f"config: objectives.{name}"
        if needs_scores(config, name) and "teacher" not in entry["candidates"]:
            raise InputError(f"{key}: the loss {entry['loss']} reads a teacher's scores; its candidates name no teacher.")
        if entry["queries_per_step"] < processes:
            raise InputError(
                f"{key}.queries_per_step is {entry['queries_per_step']}, too few for training.processes, which is {processes}."
            )
        for position in ("1", *entry["positions"]):
            stage = stage_objective(config, "-".join([name] * int(position)))
            if (stage["steps"] is None) == (stage["epochs"] is None):
                raise InputError(f"{key}: at position {position}, give steps or epochs, one of them, and null for the other.")


def _require(key: str, name: str, known: Config, what: str) -> None:
    if name not in known:
        raise InputError(f"config: {key}: {name!r} is no {what}; choose from {', '.join(map(str, known))}.")


def _values(node: Any, path: list[str], key: str = "") -> Iterator[tuple[str, Any]]:
    """(key, value) of everything that a path with "*" reaches; optional keys that are not there reach nothing."""
    if not path:
        yield key, node
        return
    head, rest = path[0], path[1:]
    if head == "*" and isinstance(node, list):
        for place, child in enumerate(node):
            yield from _values(child, rest, f"{key}[{place}]")
    elif isinstance(node, dict):
        for name in node if head == "*" else [head] if head in node else []:
            yield from _values(node[name], rest, f"{key}.{name}" if key else str(name))


def _schema_message(error: jsonschema.ValidationError) -> str:
    key = ".".join(str(part) for part in error.absolute_path)
    place = f"config: {key}: " if key else "config: "
    if error.validator == "additionalProperties" and isinstance(error.schema, dict):
        known = error.schema.get("properties", {})
        instance = error.instance if isinstance(error.instance, dict) else {}
        unknown = [name for name in instance if name not in known]
        if known and unknown:
            prefix = f"{key}." if key else ""
            return f"config: unknown key {prefix}{unknown[0]}; choose from {', '.join(known)}."
    return f"{place}{error.message}. See the comments in config.yaml."
