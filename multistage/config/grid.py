"""The grid: the models that it trains, the systems that it compares, and the depths that it measures.

A model is (backbone, recipe, seed), with folds one of each; a system is (retriever, backbone, recipe, seed), as in the tables.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

from multistage.config.recipes import FUSED, UNTRAINED, parent_of, stages_of

Config = dict[str, Any]
Model = tuple[str, str, str]
System = tuple[str, str, str, str]


def rerankers(config: Config) -> list[Model]:
    """The re-rankers that are evaluated, the untrained ones among them; none where the grid has no recipes."""
    grid = config["grid"]
    if not grid["recipes"]:
        return []
    return list(product(grid["backbones"], [UNTRAINED, *grid["recipes"]], map(str, grid["seeds"])))


def trained_stages(config: Config) -> list[Model]:
    """The models that are trained, those on the way to others included."""
    stages = [(backbone, stage, seed) for backbone, recipe, seed in rerankers(config) for stage in stages_of(recipe)]
    return list(dict.fromkeys(stages))


def in_folds(config: Config, models: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The same models or systems once a fold, the fold behind the seed, such as 42/fold2; without folds, as they are."""
    folds = [f"/fold{fold + 1}" for fold in range(config["grid"]["folds"] or 0)] or [""]
    return [(*others, f"{seed}{fold}") for *others, seed in models for fold in folds]


def further_stages(config: Config) -> list[tuple[str, str, str]]:
    """(backbone, recipe, parent) of the recipes whose last stage starts from another recipe of the grid."""
    recipes = config["grid"]["recipes"]
    pairs = product(config["grid"]["backbones"], recipes)
    return [(backbone, recipe, parent) for backbone, recipe in pairs if (parent := parent_of(recipe)) in recipes]


def systems(config: Config) -> list[System]:
    """What is compared, in the table's order: under each first stage itself, the teachers that rank its candidates, and every
    re-ranker, one that is trained followed by its scores fused with the first stage's where the grid has fusion."""
    found: list[System] = []
    for retriever in config["grid"]["retrievers"]:
        found.append((retriever, "", "first-stage", ""))
        found += [(retriever, teacher, "teacher", "") for teacher in _teachers(config, retriever)]
        for backbone, recipe, seed in rerankers(config):
            found.append((retriever, backbone, recipe, seed))
            if config["grid"]["fusion"] and recipe != UNTRAINED:
                found.append((retriever, backbone, f"{recipe}{FUSED}", seed))
    return found


def reranking_depths(config: Config) -> list[int]:
    """The depths of the curves by depth, the last of which is the grid's."""
    depth, steps = config["grid"]["depth"], config["evaluation"]["depths"]
    return sorted({round(depth * step / steps) for step in range(1, steps + 1)} - {0})


def tuned_retrievers(config: Config) -> list[str]:
    """The retrievers of the grid, and those that they fuse, whose settings are chosen on validation queries."""
    retrievers = config["retrievers"]
    names = dict.fromkeys(one for name in config["grid"]["retrievers"] for one in retrievers[name].get("retrievers", [name]))
    return [name for name in names if retrievers[name].get("tune")]


def _teachers(config: Config, retriever: str) -> list[str]:
    """The teachers of the grid's recipes that rank the candidates of a retriever."""
    objectives = {name for recipe in config["grid"]["recipes"] for name in recipe.split("-")}
    teaching = {config["objectives"][name]["candidates"].get("teacher") for name in objectives}
    teachers = config["teachers"]
    ranked = {name: {teachers[each].get("retriever") for each in members(teachers, name)} for name in teachers}
    return [name for name, retrievers in ranked.items() if name in teaching and retrievers == {retriever}]


def members(teachers: Config, name: str) -> list[str]:
    """The teachers whose scores a teacher gives: itself or, of a mean, those that it is the mean of."""
    entry = teachers[name]
    return [one for each in entry["teachers"] for one in members(teachers, each)] if entry["kind"] == "mean" else [name]
