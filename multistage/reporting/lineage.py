"""Where a model comes from: what each stage of its recipe is trained on, and the licence of every source of it."""

from collections.abc import Iterator
from typing import Any

from multistage.config.recipes import last_objective, stages_of

Config = dict[str, Any]
# (name, section, what it is used as): an entry of the config's sources, or a checkpoint or collection that is in none.
Use = tuple[str, str, str]


def lineage(config: Config, backbone: str, recipe: str) -> dict[str, Any]:
    """What the card of the model `recipe` of `backbone` must know of a checked config, and nothing else of it.

    checkpoint: the pre-trained model's name, on the Hub where it is from there. licence: its licence. stages: for each, the
    objective, its query set and collection, and where its passages come from, in words. sources: name, what it is used as,
    where it comes from and its licence, each source once. data: the names of those that are no models.
    """
    objectives = [last_objective(stage) for stage in stages_of(recipe)]
    checkpoint = config["backbones"][backbone]["checkpoint"]
    uses = [_checkpoint(config, checkpoint, "the pre-trained model")]
    for objective in dict.fromkeys(objectives):
        uses += _of_candidates(config, config["objectives"][objective]["candidates"])
    if objectives:
        validation = config["validation"]
        uses += _of_candidates(config, {key: validation[key] for key in ("queryset", "retriever")})
    used_as: dict[tuple[str, str], list[str]] = {}
    for name, section, use in uses:
        roles = used_as.setdefault((section, name), [])
        roles += [use] if use not in roles else []
    sources = [_source(config, section, name, roles) for (section, name), roles in used_as.items()]
    models = {_checkpoint(config, name, "")[:2] for name in config["checkpoints"]}
    return {
        "checkpoint": config["checkpoints"][checkpoint].get("hub", checkpoint),
        "licence": sources[0]["licence"],
        "stages": [{"objective": name, **_stage(config, name)} for name in objectives],
        "sources": sources,
        "data": [name for section, name in used_as if (name, section) not in models],
    }


def _stage(config: Config, objective: str) -> dict[str, str]:
    candidates = config["objectives"][objective]["candidates"]
    collection = config["querysets"][candidates["queryset"]]["collection"]
    dataset = config["collections"][collection].get("id")
    return {
        "queryset": candidates["queryset"],
        "collection": collection + (f" (ir_datasets: {dataset})" if dataset else ""),
        "passages": _passages(config, candidates),
    }


def _passages(config: Config, candidates: Config) -> str:
    """Where an objective's passages come from, in words."""
    if "retriever" in candidates:
        return f"a relevant one, and negatives from the first {candidates['depth']} of {candidates['retriever']}"
    teacher = config["teachers"][candidates["teacher"]]
    ranked = f"ranked by the teacher {candidates['teacher']}, "
    if teacher["kind"] == "rankgpt":
        return f"{ranked}RankGPT's permutations"
    if teacher["kind"] == "run":
        return f"{ranked}a ready-made run, its first {teacher['depth']}"
    first, depth, share = teacher["retriever"], teacher["depth"], teacher["weight"]
    return f"{ranked}a bi-encoder over the first {depth} of {first}: {share:.0%} its similarity, the rest {first}'s score"


def _of_candidates(config: Config, candidates: Config) -> Iterator[Use]:
    """The sources of a query set, its collection, and the first stage or the teacher that gives it passages."""
    queryset = candidates["queryset"]
    entry = config["querysets"][queryset]
    name = entry["collection"]
    collection = config["collections"][name]
    for key in ("source", "passages"):
        if key in collection:
            yield collection[key], "sources", f"passages of {name}"
    if collection["kind"] == "ir_datasets":
        yield name, "collections", f"passages of {name}"
        yield name, "collections", f"queries and judgements of {queryset}"
    if collection["kind"] == "vital-articles":
        yield collection["source"], "sources", f"queries of {name}"
    for key, what in (("queries", "queries"), ("qrels", "judgements")):
        if key in entry:
            yield entry[key], "sources", f"{what} of {queryset}"
    if "retriever" in candidates:
        yield from _of_retriever(config, candidates["retriever"], queryset)
    if "teacher" in candidates:
        yield from _of_teacher(config, candidates["teacher"], queryset)


def _of_retriever(config: Config, name: str, queryset: str) -> Iterator[Use]:
    retriever = config["retrievers"][name]
    if "checkpoint" in retriever:
        yield _checkpoint(config, retriever["checkpoint"], f"the first stage {name}")
    if queryset in retriever.get("runs", {}):
        yield retriever["runs"][queryset], "sources", f"run of {name} for {queryset}"


def _of_teacher(config: Config, name: str, queryset: str) -> Iterator[Use]:
    teacher = config["teachers"][name]
    if "checkpoint" in teacher:
        yield _checkpoint(config, teacher["checkpoint"], f"the teacher {name}")
    for key in ("candidates", "permutations", "run"):
        if key in teacher:
            yield teacher[key], "sources", f"{key} of the teacher {name}"
    if "retriever" in teacher:
        yield from _of_retriever(config, teacher["retriever"], queryset)


def _checkpoint(config: Config, name: str, use: str) -> Use:
    """A checkpoint in a package is a use of that source; another is a source of its own."""
    entry = config["checkpoints"][name]
    return (entry["source"], "sources", use) if "source" in entry else (name, "checkpoints", use)


def _source(config: Config, section: str, name: str, uses: list[str]) -> dict[str, str]:
    entry = config[section][name]
    if "hub" in entry:
        place = f"Hugging Face Hub: {entry['hub']}, revision {entry['revision']}"
    elif "package" in entry:
        place = f"Python package {entry['package']}"
    elif section == "collections":
        place = f"ir_datasets: {entry['id']}"
    else:
        place = entry.get("url") or entry["path"]
    return {"name": name, "use": "; ".join(uses), "place": place, "licence": entry.get("licence", "unknown")}
