"""What two keys of a config cannot both say."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from multistage.config.data import IrDatasetsQueries, LocalQueries, Package, PackagedCheckpoint, QuerySet
from multistage.config.ranking import BiEncoder, RankGPT, ReadyRun, TeacherRun
from multistage.config.training import FirstStageCandidates, Objective, Validation
from multistage.jobs.errors import InputError
from multistage.losses import LOSSES

if TYPE_CHECKING:
    from multistage.config.whole import Config

# What a query set says, by the kind of its collection, and the keys that it does it with.
QUERYSETS: dict[str, tuple[type[QuerySet], str]] = {
    "vital-articles": (QuerySet, "neither id nor queries and qrels"),
    "ir_datasets": (IrDatasetsQueries, "the key id"),
    "local": (LocalQueries, "the keys queries and qrels"),
}


def refuse_contradictions(config: "Config") -> None:
    """Raise InputError with one line for each contradiction."""
    checks = (_checkpoints, _querysets, _lengths, _depths, _runs, _groups)
    found = [f"config: {line}." for check in checks for line in check(config)]
    if found:
        raise InputError("\n".join(found))


def _checkpoints(config: "Config") -> Iterator[str]:
    for name, checkpoint in config.checkpoints.items():
        if isinstance(checkpoint, PackagedCheckpoint) and not isinstance(config.sources[checkpoint.source], Package):
            yield f"checkpoints.{name}.source: {checkpoint.source} is not a package"


def _querysets(config: "Config") -> Iterator[str]:
    for name, queryset in config.querysets.items():
        kind = config.collections[queryset.collection].kind
        wanted, keys = QUERYSETS[kind]
        if type(queryset) is not wanted:
            yield f"querysets.{name}: its collection {queryset.collection} is of kind {kind}, so it needs {keys}"


def _lengths(config: "Config") -> Iterator[str]:
    for name, backbone in config.backbones.items():
        if backbone.max_query_length >= backbone.max_length:
            yield (
                f"backbones.{name}.max_query_length is {backbone.max_query_length}, which leaves no room for a passage in a "
                f"max_length of {backbone.max_length}"
            )


def _depths(config: "Config") -> Iterator[str]:
    """Nothing is asked for deeper than its retriever keeps."""
    asked = [("grid", retriever, config.grid.depth) for retriever in config.grid.retrievers]
    entries: dict[str, object] = {
        f"objectives.{name}.candidates": entry.candidates for name, entry in config.objectives.items()
    }
    entries |= {f"teachers.{name}": entry for name, entry in config.teachers.items()} | {"validation": config.validation}
    for key, entry in entries.items():
        if isinstance(entry, FirstStageCandidates | BiEncoder | Validation):
            asked.append((key, entry.retriever, entry.depth))
    for key, retriever, depth in asked:
        kept = config.retrievers[retriever].depth
        if depth > kept:
            yield f"{key}.depth is {depth}, but retrievers.{retriever}.depth keeps {kept} passages"


def _runs(config: "Config") -> Iterator[str]:
    """Retrievers that are ready-made runs have the runs that are asked of them."""
    grid, validation = config.grid, config.validation
    asked = [("grid", retriever, queryset) for retriever in grid.retrievers for queryset in grid.benchmarks]
    asked.append(("validation", validation.retriever, validation.queryset))
    if grid.fusion:
        asked += [("grid.fusion", retriever, validation.queryset) for retriever in grid.retrievers]
    for name, objective in config.objectives.items():
        candidates, key = objective.candidates, f"objectives.{name}.candidates"
        if isinstance(candidates, FirstStageCandidates):
            asked.append((key, candidates.retriever, candidates.queryset))
        elif isinstance(teacher := config.teachers[candidates.teacher], BiEncoder):
            asked.append((key, teacher.retriever, candidates.queryset))
    for key, name, queryset in dict.fromkeys(asked):
        retriever = config.retrievers[name]
        if isinstance(retriever, ReadyRun) and queryset not in retriever.runs:
            given = ", ".join(retriever.runs)
            yield f"{key} needs a run for {queryset}, and retrievers.{name}.runs has only {given}; name its source there"


def _groups(config: "Config") -> Iterator[str]:
    """Objectives have candidates that their losses and groups can be made of, and groups for every process."""
    for name, objective in config.objectives.items():
        key = f"objectives.{name}"
        if LOSSES[objective.loss].reads == "scores" and (lack := _lacks_scores(config, objective)):
            yield f"{key}: the loss {objective.loss} reads a teacher's scores; {lack}"
        most = _most_passages(config, objective)
        if most is not None and objective.group_size > most:
            yield f"{key}.group_size is {objective.group_size}, but its candidates have at most {most} passages for a query"
        if objective.queries_per_step < config.training.processes:
            yield (
                f"{key}.queries_per_step is {objective.queries_per_step}, too few for training.processes, which is "
                f"{config.training.processes}"
            )


def _lacks_scores(config: "Config", objective: Objective) -> str | None:
    if isinstance(objective.candidates, FirstStageCandidates):
        return "its candidates have none"
    name = objective.candidates.teacher
    return f"{name} has permutations only" if isinstance(config.teachers[name], RankGPT) else None


def _most_passages(config: "Config", objective: Objective) -> int | None:
    """Passages that a query can have in a group, where the config says: with a retriever's, also one that it did not find."""
    candidates = objective.candidates
    if isinstance(candidates, FirstStageCandidates):
        return candidates.depth + 1
    teacher = config.teachers[candidates.teacher]
    return teacher.depth if isinstance(teacher, BiEncoder | TeacherRun) else None
