"""What two keys of a config cannot both say."""

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from multistage.config import data, ranking
from multistage.config.fields import Section
from multistage.config.grid import members, tuned_retrievers
from multistage.config.training import Candidates, FirstStageCandidates, Objective
from multistage.jobs.errors import InputError
from multistage.losses import LOSSES

if TYPE_CHECKING:
    from multistage.config.whole import Config

# What a query set says, by the kind of its collection, and the keys that it does it with.
QUERYSETS: dict[str, tuple[type[data.QuerySet], str]] = {
    "vital-articles": (data.QuerySet, "neither id nor queries and qrels"),
    "ir_datasets": (data.IrDatasetsQueries, "the key id"),
    "local": (data.LocalQueries, "the keys queries and qrels"),
}


def refuse_contradictions(config: "Config") -> None:
    """Raise InputError with one line for each contradiction."""
    for checks in ((_cycles,), (_data, _rankings, _objectives, _folds)):  # the others follow what an entry names
        found = dict.fromkeys(f"config: {line}." for check in checks for line in check(config))
        if found:
            raise InputError("\n".join(found))


def _cycles(config: "Config") -> Iterator[str]:
    """No objective learns from a model that it has trained, no teacher from itself; no query set is found in itself, or by a
    retriever that is tuned on it."""
    needs = {
        f"{section}.{name}": [*_needed(entry)]
        for section in ("querysets", "retrievers", "objectives", "teachers")
        for name, entry in getattr(config, section).items()
    }
    for name, retriever in config.retrievers.items():
        if isinstance(retriever, ranking.BM25) and retriever.tune:
            needs[f"retrievers.{name}"] = [f"querysets.{config.validation.queryset}"]
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        first, *others = reversed(error.args[1])
        yield f"{first} needs {', which needs '.join(others)}; break this cycle"


def _needed(entry: Section) -> Iterator[str]:
    """The entries that an entry names, each as section.name."""
    for key, value in entry:
        if isinstance(value, Section):
            yield from _needed(value)
        elif key in ("queryset", "retriever", "teacher") and value:
            yield f"{key}s.{value}"
        elif key in ("retrievers", "teachers"):
            yield from (f"{key}.{name}" for name in value)
        elif key == "recipe":
            yield from (f"objectives.{name}" for name in value.split("-"))


def _members(config: "Config") -> dict[str, list[str]]:
    """The teachers whose scores each teacher gives."""
    teachers = config.model_dump(include={"teachers"})["teachers"]
    return {name: members(teachers, name) for name in teachers}


def _data(config: "Config") -> Iterator[str]:
    """Of checkpoints, query sets, retrievers and backbones."""
    for name, checkpoint in config.checkpoints.items():
        if isinstance(checkpoint, data.PackagedCheckpoint) and not isinstance(config.sources[checkpoint.source], data.Package):
            yield f"checkpoints.{name}.source: {checkpoint.source} is not a package"
    for name, queryset in config.querysets.items():
        kind = config.collections[queryset.collection].kind
        wanted, keys = QUERYSETS[kind]
        if isinstance(queryset, data.FoundQueries):
            if (other := config.querysets[queryset.queryset].collection) != queryset.collection:
                yield f"querysets.{name}.collection is {queryset.collection}, but {queryset.queryset} is of {other}"
        elif not isinstance(queryset, data.GeneratedQueries) and type(queryset) is not wanted:
            yield f"querysets.{name}: its collection {queryset.collection} is of kind {kind}, so it needs {keys}"
    for name, retriever in config.retrievers.items():
        for each in retriever.retrievers if isinstance(retriever, ranking.FusedRetriever) else []:
            if isinstance(config.retrievers[each], ranking.FusedRetriever):
                yield f"retrievers.{name}.retrievers: {each} is a fusion itself; name the retrievers that it fuses"
    chosen_on, validation = config.validation.queryset, config.querysets[config.validation.queryset]
    measured = [config.querysets[benchmark].collection for benchmark in config.grid.benchmarks]
    for name in tuned_retrievers(config.model_dump(include={"grid", "retrievers"})):
        if validation.collection not in measured:
            yield (
                f"retrievers.{name}.tune chooses on validation.queryset, which is {chosen_on} of the collection "
                f"{validation.collection}, and no benchmark is of that collection; let validation.queryset be queries of one, "
                f"or give k1 and b"
            )
        if config.grid.folds:
            problem = "would choose on all folds, also on those that are tested"
            yield f"retrievers.{name}.tune {problem}; with grid.folds, give k1 and b"
    for name, backbone in config.backbones.items():
        query, pair = backbone.max_query_length, backbone.max_length
        if query >= pair:
            yield f"backbones.{name}.max_query_length is {query}, which leaves no room for a passage in a max_length of {pair}"


def _rankings(config: "Config") -> Iterator[str]:
    """Retrievers keep as many passages as are asked of them and, where they are ready-made runs, have those runs."""
    asked = list(_asked(config))
    for _, name, querysets, _ in asked.copy():
        fused = config.retrievers[name]
        if isinstance(fused, ranking.FusedRetriever):
            asked += [(f"retrievers.{name}", each, querysets, fused.depth) for each in fused.retrievers]
    for key, name, querysets, depth in asked:
        retriever = config.retrievers[name]
        if depth > retriever.depth:
            yield f"{key}.depth is {depth}, but retrievers.{name}.depth keeps {retriever.depth} passages"
        if isinstance(retriever, ranking.ReadyRun):
            given = ", ".join(retriever.runs)
            for queryset in [each for each in querysets if each not in retriever.runs]:
                yield f"{key} needs a run for {queryset}, and retrievers.{name}.runs has only {given}; name its source there"


def _asked(config: "Config") -> Iterator[tuple[str, str, list[str], int]]:
    """(key, retriever, query sets, depth) of whatever takes passages from a retriever."""
    grid, validation = config.grid, config.validation
    for retriever in grid.retrievers:
        yield "grid", retriever, grid.benchmarks, grid.depth
        yield "grid.fusion", retriever, [validation.queryset] if grid.fusion else [], 0
    yield "validation", validation.retriever, [validation.queryset], validation.depth
    candidates = {name: objective.candidates for name, objective in config.objectives.items()}
    for name, each in candidates.items():
        if isinstance(each, FirstStageCandidates):
            yield f"objectives.{name}.candidates", each.retriever, [each.queryset], each.depth
    for name, queryset in config.querysets.items():
        if isinstance(queryset, data.FoundQueries):
            yield f"querysets.{name}", queryset.retriever, [queryset.queryset], queryset.depth
    behind = _members(config)
    for name, teacher in config.teachers.items():
        if isinstance(teacher, ranking.RankingTeacher):
            taught = [each.queryset for each in candidates.values() if each.teacher and name in behind[each.teacher]]
            yield f"teachers.{name}", teacher.retriever, taught, teacher.depth


def _objectives(config: "Config") -> Iterator[str]:
    """Objectives have candidates that their losses and groups can be made of, and groups for every process."""
    for name, objective in config.objectives.items():
        key = f"objectives.{name}"
        lack, most = _candidates(config, objective)
        yield from _taught(config, f"{key}.candidates", objective.candidates, lack)
        for loss in objective.weights:
            if "scores" in LOSSES[loss].reads and lack:
                yield f"{key}: the loss {loss} reads a teacher's scores; {lack}"
            if objective.positives == "all" and LOSSES[loss].relevant == "one":
                yield f"{key}.positives is all, but the loss {loss} needs one relevant passage in a group"
        if objective.positives == "all" and not objective.contrasts:
            yield f"{key}.positives is all, but its groups are what the teacher ranks; name a retriever in its candidates"
        yield from _settings(key, objective)
        if most is not None and objective.group_size > most:
            reranked = getattr(objective.candidates, "reranked_by", None)
            why = f": candidates.reranked_by.top is {reranked.top}" if reranked else ""
            found = f"its candidates have at most {most} passages for a query{why}"
            yield f"{key}.group_size is {objective.group_size}, but {found}"
        groups, processes = objective.queries_per_step, config.training.processes
        if groups < processes:
            yield f"{key}.queries_per_step is {groups}, too few for training.processes, which is {processes}"


def _folds(config: "Config") -> Iterator[str]:
    """Folds are of one query set, which is learned, validated on and evaluated."""
    if config.grid.folds is None:
        return
    benchmark, *others = config.grid.benchmarks
    if others:
        yield f"grid.benchmarks is [{', '.join(config.grid.benchmarks)}]; with grid.folds it should be one query set"
    used = {"validation.queryset": config.validation.queryset}
    for name in dict.fromkeys(name for recipe in config.grid.recipes for name in recipe.split("-")):
        used[f"objectives.{name}.candidates.queryset"] = config.objectives[name].candidates.queryset
    for key, queryset in used.items():
        if queryset != benchmark:
            yield f"{key} is {queryset}; with grid.folds it should be {benchmark}, the benchmark, which folds are parts of"


def _settings(key: str, objective: Objective) -> Iterator[str]:
    """Settings are given for losses that take them."""
    for setting in dict.fromkeys(setting for loss in LOSSES.values() for setting in loss.takes):
        value, takers = getattr(objective, setting), [name for name, loss in LOSSES.items() if setting in loss.takes]
        if value != Objective.model_fields[setting].default and not objective.weights.keys() & takers:
            of = ", ".join(objective.weights)
            yield f"{key}.{setting} is {value}, and {of} cannot take it; losses that take it: {', '.join(takers)}"


def _candidates(config: "Config", objective: Objective) -> tuple[str | None, int | None]:
    """Why candidates have no scores (None: they have), and the most that a query has of them (None: not known)."""
    candidates = objective.candidates
    teacher = config.teachers[candidates.teacher] if candidates.teacher else None
    most = None if isinstance(teacher, ranking.RankGPT | ranking.MeanTeacher | None) else teacher.depth
    if isinstance(candidates, FirstStageCandidates):
        first = candidates.reranked_by.top if candidates.reranked_by else candidates.depth
        most = first + 1  # the last: a relevant passage that was not found
    if teacher is None:
        return "its candidates have none", most
    return f"{candidates.teacher} has permutations only" if isinstance(teacher, ranking.OrderingTeacher) else None, most


def _taught(config: "Config", key: str, candidates: Candidates, lack: str | None) -> Iterator[str]:
    """A retriever's candidates are those that their teacher ranks, where that is known, and dropped by its scores."""
    if not (isinstance(candidates, FirstStageCandidates) and candidates.teacher):
        return
    if candidates.drop_above is not None and lack:
        yield f"{key}.drop_above compares a teacher's scores; {lack}"
    for name in _members(config)[candidates.teacher]:
        teacher = config.teachers[name]
        if isinstance(teacher, ranking.RankingTeacher):
            own = f"teachers.{name}"
            if teacher.retriever != candidates.retriever:
                yield f"{key}.retriever is {candidates.retriever}, but {own} ranks the candidates of {teacher.retriever}"
            if teacher.depth < candidates.depth:
                yield f"{key}.depth is {candidates.depth}, but {own}.depth ranks {teacher.depth} passages"
