"""The config: checked against its schema, then every name in it against what it names."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from multistage.jobs.errors import InputError

Config = dict[str, Any]

# Where a name stands, and the section it must be found in. "*" stands for every entry of a section or a list.
REFERENCES = {
    "grid.backbones.*": "backbones",
    "grid.retrievers.*": "retrievers",
    "grid.benchmarks.*": "querysets",
    "checkpoints.*.source": "sources",
    "collections.*.source": "sources",
    "collections.*.passages": "sources",
    "querysets.*.collection": "collections",
    "querysets.*.queries": "sources",
    "querysets.*.qrels": "sources",
    "retrievers.*.checkpoint": "checkpoints",
    "retrievers.*.runs.*": "sources",
    "teachers.*.candidates": "sources",
    "teachers.*.permutations": "sources",
    "teachers.*.run": "sources",
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

# What a query set must say of itself, by the kind of its collection.
QUERYSET_KEYS = {"vital-articles": (), "ir_datasets": ("id",), "local": ("queries", "qrels")}

# Losses that compare with the teacher's scores; the others read its order alone.
SCORED_LOSSES = ("listnet", "margin-mse")


def check_config(config: Config, schema: str | Path) -> None:
    """Check a merged config. Raises InputError naming the key, what was found there and what was expected.

    First objectives `like` others are filled in, in place. Then the schema (types, ranges, no unknown key), then
    cross-references: every name must be defined, every objective of every recipe too, and candidates are not deeper than what
    their retriever keeps.
    """
    _complete_objectives(config)
    validator = jsonschema.Draft202012Validator(yaml.safe_load(Path(schema).read_text(encoding="utf-8")))
    errors = sorted(validator.iter_errors(config), key=lambda error: (len(error.absolute_path), list(map(str, error.path))))
    if errors:
        raise InputError(_schema_message(errors[0]))
    for pattern, section in REFERENCES.items():
        for key, name in _values(config, pattern.split(".")):
            _require(key, name, config[section], f"entry of {section}")
    recipes = {f"grid.recipes[{place}]": recipe for place, recipe in enumerate(config["grid"]["recipes"])}
    if config["evaluation"]["baseline"] is not None:
        recipes["evaluation.baseline"] = config["evaluation"]["baseline"]
    for key, recipe in recipes.items():
        for objective in recipe.split("-"):
            _require(f"{key} ({recipe})", objective, config["objectives"], "entry of objectives")
    for source, entry in config["sources"].items():
        if "url" in entry:
            download_name(source, entry)
    _check_querysets(config)
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


def download_name(source: str, entry: Config) -> str:
    """The file name of a download: what the config says, or the end of its address. Raises InputError when that is no name."""
    name: str = entry.get("file") or entry["url"].rpartition("/")[2]
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name) is None:
        raise InputError(f"config: sources.{source}: its url ends in {name!r}, which is no file name; give one as file.")
    return name


def groups_objective(config: Config, objective: str) -> str:
    """The objective whose training groups this one has: its own, or those of the one it is `like` where they are the same."""
    entry = config["objectives"][objective]
    model = entry.get("like")
    if model is None or entry["candidates"] != config["objectives"][model]["candidates"]:
        return objective
    return groups_objective(config, model) if needs_scores(config, objective) == needs_scores(config, model) else objective


def sort_keys(config: Config) -> None:
    """Sort every mapping by key, in place: Snakemake compares parameters as written, and order must rerun nothing."""
    for key in sorted(config):
        config[key] = value = config.pop(key)
        if isinstance(value, dict):
            sort_keys(value)


def _complete_objectives(config: Config) -> None:
    """Give objectives that are `like` another what they do not say themselves."""
    objectives = config.get("objectives")
    if not isinstance(objectives, dict):
        return
    waiting = {name: entry["like"] for name, entry in objectives.items() if isinstance(entry, dict) and "like" in entry}
    while waiting:
        ready = [name for name, model in waiting.items() if model in objectives and model not in waiting]
        if not ready:
            name, model = next(iter(waiting.items()))
            raise InputError(f"config: objectives.{name}.like: {model!r} is no other objective, or is itself like this one.")
        for name in ready:
            objectives[name] = objectives[waiting.pop(name)] | objectives[name]


def _check_querysets(config: Config) -> None:
    for name, entry in config["querysets"].items():
        kind = config["collections"][entry["collection"]]["kind"]
        wanted, given = set(QUERYSET_KEYS[kind]), entry.keys() - {"collection", "relevance", "draw"}
        if wanted != given:
            raise InputError(
                f"config: querysets.{name}: of a collection of kind {kind} it needs {_listed(wanted)} beside collection, "
                f"relevance and draw, and has {_listed(given)}."
            )
        draw = entry.get("draw", {"from": 0, "to": None})
        if draw["to"] is not None and draw["to"] <= draw["from"]:
            raise InputError(f"config: querysets.{name}.draw: from {draw['from']} to {draw['to']} is no query.")


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


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
        teacher = entry["candidates"].get("teacher")
        if needs_scores(config, name) and (teacher is None or config["teachers"][teacher]["kind"] == "rankgpt"):
            lacking = "its candidates name no teacher" if teacher is None else f"{teacher} has permutations only"
            raise InputError(f"{key}: the loss {entry['loss']} reads a teacher's scores; {lacking}.")
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
