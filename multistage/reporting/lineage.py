"""Where a model comes from: every source of what it was made from, with its licence."""

from collections.abc import Iterator
from typing import Any

from multistage.config.recipes import last_objective, stages_of
from multistage.jobs.errors import without_secrets

Config = dict[str, Any]
# An entry of the config that has a licence, or is the work of a language model: its section, its name, and what it is used as.
Use = tuple[str, str, str]
# The keys that name what data and models are made from, and what their sources are used as, if that is their own.
NOUNS = {"queryset": "the query set", "collection": "the collection", "retriever": "the first stage", "teacher": "the teacher"}
FILES = ("source", "passages", "queries", "qrels", "candidates", "permutations", "run")
# The licence of what a language model on a server writes or ranks.
SERVED = "the terms of that model and of whoever serves it"
# The section that defines what a key names.
SECTIONS = {key: f"{key}s" for key in (*NOUNS, "checkpoint")} | dict.fromkeys(FILES, "sources")


def lineage(config: Config, backbone: str, recipe: str) -> dict[str, Any]:
    """What the card of the model `recipe` of `backbone` needs of a complete config, and nothing else of it.

    checkpoint: the name of the pre-trained model, that on the Hub if it is from there. licence: its licence. sources: name,
    use, place and licence of each, once. data: the names of the sources that are neither a model nor ranked by one on a server.
    """
    objectives = [last_objective(stage) for stage in stages_of(recipe)]
    checkpoint = config["backbones"][backbone]["checkpoint"]
    uses = list(_uses(config, {"checkpoint": checkpoint}, "the pre-trained model"))
    for entry in [config["objectives"][name]["candidates"] for name in objectives] + [config["validation"]] * bool(objectives):
        uses += _uses(config, entry)
    used_as: dict[tuple[str, str], list[str]] = {}
    for section, name, use in dict.fromkeys(uses):
        used_as.setdefault((section, name), []).append(use)
    sources = [_source(config[section][name], name, "; ".join(roles)) for (section, name), roles in used_as.items()]
    models = {use[:2] for name in config["checkpoints"] for use in _uses(config, {"checkpoint": name})}
    return {
        "checkpoint": config["checkpoints"][checkpoint].get("hub", checkpoint),
        "licence": sources[0]["licence"],
        "sources": sources,
        "data": [name for section, name in used_as if section != "teachers" and (section, name) not in models],
    }


def _uses(config: Config, entry: Config, use: str = "", queryset: str = "") -> Iterator[Use]:
    """The sources that an entry of the config is made from, through whatever it names.

    use: what the entry is used as. queryset: which of the ready-made runs of a retriever counts.
    """
    queryset = entry.get("queryset", queryset)
    for part in _parts(config, entry):
        yield from _uses(config, part, use or "the model that chooses negatives", queryset)
    if queryset in entry.get("runs", {}):
        yield "sources", entry["runs"][queryset], use
    for key, section in SECTIONS.items():
        name = entry.get(key)
        if not isinstance(name, str):
            continue
        named, own_use = config[section][name], f"{NOUNS[key]} {name}" if key in NOUNS else use
        if not named.keys().isdisjoint(("licence", "base_url", "generator")):
            yield section, name, own_use
        if "licence" not in named:
            yield from _uses(config, named, own_use, queryset)


def _parts(config: Config, entry: Config) -> Iterator[Config]:
    """Entries that an entry names in other ways: the teachers of a mean, a model by its backbone and recipe."""
    yield from (config["teachers"][name] for name in entry.get("teachers", ()))
    if reranker := entry.get("reranked_by"):
        yield reranker
    if "recipe" in entry:
        yield {"checkpoint": config["backbones"][entry["backbone"]]["checkpoint"]}
        yield from (config["objectives"][name]["candidates"] for name in entry["recipe"].split("-"))


def _source(entry: Config, name: str, use: str) -> dict[str, str]:
    entry = entry.get("generator", entry)
    forms = {
        "model": "language model {model}, asked at {base_url}",
        "hub": "Hugging Face Hub: {hub}, revision {revision}",
        "package": "Python package {package}",
        "id": "ir_datasets: {id}",
        "url": "{url}",
        "path": "{path}",
    }
    place = next(form for key, form in forms.items() if entry.get(key))
    place = without_secrets(place.format(**entry))
    return {"name": name, "use": use, "place": place, "licence": without_secrets(entry.get("licence", SERVED))}
