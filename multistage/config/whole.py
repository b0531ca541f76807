"""The whole config: its sections, and the one function that checks and completes it."""

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from multistage.config.contradictions import refuse_contradictions
from multistage.config.data import AnyQuerySet, Checkpoint, Collection, FoundQueries, GeneratedQueries, Source
from multistage.config.evaluation import Evaluation, Grid
from multistage.config.fields import Name, Section
from multistage.config.messages import explain
from multistage.config.ranking import Retriever, Teacher
from multistage.config.training import Backbone, Objective, ObjectiveName, Training, Validation, changed
from multistage.jobs.errors import InputError
from multistage.measures import split_cutoff

# Folders of results/ that all experiments share.
SHARED = ("answers", "checkpoints", "collections", "indexes", "logs", "runs", "sources", "teachers", "tokens")


def _own_folder(experiment: str) -> str:
    if experiment.lower() in SHARED:
        raise ValueError(f"results/{experiment}/ is shared by all experiments; choose another name")
    return experiment


class Config(Section):
    """Everything is defined by name, and the grid selects from the names. A file given with --configfile is merged over
    config.yaml: definitions add up, and its grid selects."""

    experiment: Annotated[Name, AfterValidator(_own_folder)] = Field(
        description="Name of the experiment, and its folder in results/. What does not depend on it is shared by all."
    )
    device: Literal["cpu", "cuda"] = Field("cpu", description="Where models run; with cuda, each such job asks for one GPU.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="What encoders compute in (the rest is float32). auto: bfloat16 where the hardware has it."
    )
    training: Training = Field(default_factory=Training, description="How fine-tuning runs.")
    grid: Grid = Field(description="What is trained and evaluated.")
    sources: dict[Name, Source] = Field({}, description="Files that data and models come in.")
    checkpoints: dict[Name, Checkpoint] = Field({}, description="Pre-trained models.")
    collections: dict[Name, Collection] = Field(description="Where passages come from.")
    querysets: dict[Name, AnyQuerySet] = Field(description="Queries and judgements for a collection.")
    retrievers: dict[Name, Retriever] = Field(description="First stages.")
    teachers: dict[Name, Teacher] = Field({}, description="Teachers.")
    backbones: dict[Name, Backbone] = Field(description="Encoders that become re-rankers.")
    objectives: dict[ObjectiveName, Objective] = Field(description="What recipes are made of; {like: NAME} copies another.")
    validation: Validation = Field(description="What training is watched on.")
    evaluation: Evaluation = Field(default_factory=Evaluation, description="What is measured and compared.")

    @model_validator(mode="before")
    @classmethod
    def _complete_objectives(cls, config: Any) -> Any:
        """Give objectives that are `like` another what they do not say themselves."""
        objectives = config.get("objectives") if isinstance(config, dict) else None
        if not isinstance(objectives, dict):
            return config
        entries = {name: entry for name, entry in objectives.items() if isinstance(entry, dict)}

        def complete(name: str, *before: str) -> dict[str, Any]:
            model = entries[name].get("like")
            if model is None:
                return entries[name]
            if model not in list(entries) or model in (name, *before):
                raise ValueError(f"objectives.{name}.like is {model!r}; it should be another objective, not itself like {name}")
            return changed(complete(model, name, *before), entries[name])

        return config | {"objectives": objectives | {name: complete(name) for name in entries}}

    @property
    def warnings(self) -> list[str]:
        """What is allowed and may be a mistake, one sentence each; a run says it at its start and end, the report in front."""
        trained = dict.fromkeys(name for recipe in self.grid.recipes for name in recipe.split("-"))
        uses = [(f"objective {name}", self.objectives[name].candidates.queryset) for name in trained]
        uses += [("validation", self.validation.queryset), *((f"benchmark {name}", name) for name in self.grid.benchmarks)]
        users: dict[str, list[str]] = {}
        for user, queryset in uses:
            users.setdefault(self.querysets[queryset].collection, []).append(user)
        parts = "; ".join(f"{collection} ({', '.join(names)})" for collection, names in users.items())
        domains = f"Training, validation and benchmarks are of several collections, so results are out of domain: {parts}."
        written = [
            f"Benchmark {name} has generated queries, which {written}. Its results speak of such queries only, "
            "and not of those that people ask."
            for name in self.grid.benchmarks
            if (written := self._written(name))
        ]
        depth, cut = self.grid.depth, self.grid.recipes or self.evaluation.passages == "reranked"
        deeper = [
            f"Measure {measure} counts more passages than grid.depth leaves, which is {depth}."
            for measure in self.evaluation.measures
            if cut and split_cutoff(measure)[1] > depth
        ]
        return [domains] * (len(users) > 1) + written + deeper

    def _written(self, queryset: str) -> str:
        """Which model wrote the queries of a set, and what filtered them; empty where none did."""
        entry = self.querysets[queryset]
        if isinstance(entry, GeneratedQueries):
            return f"{entry.generator.model} wrote"
        if not isinstance(entry, FoundQueries) or not (written := self._written(entry.queryset)):
            return ""
        name = entry.retriever
        return f"{written}, kept where {name} finds their passage, which makes the numbers of {name} too good"

    def stage(self, recipe: str) -> dict[str, Any]:
        """What defines the last stage of a recipe: its objective, as it is at that position."""
        *before, name = recipe.split("-")
        return self.objectives[name].definition(len(before) + 1)

    def group_owner(self, objective: str) -> str:
        """The objective whose training groups this one has: its own, or that of the one it is `like` if they agree."""
        entry = self.objectives[objective]
        if entry.like is None:
            return objective
        model = self.objectives[entry.like]
        alike = (entry.candidates, entry.contrasts) == (model.candidates, model.contrasts)
        return self.group_owner(entry.like) if alike else objective


def complete_config(config: dict[str, Any]) -> Config:
    """Check a merged config and complete it in place: defaults, and what objectives take from those they are `like`.

    Keys are sorted, because Snakemake compares parameters as they are written and their order must not rerun anything. Raises
    InputError naming each key, what was found there and what is possible.
    """
    try:
        checked = Config.model_validate(config, context=config)
    except ValidationError as error:
        raise InputError(explain(error)) from None
    refuse_contradictions(checked)
    config.clear()
    config.update(json.loads(json.dumps(checked.model_dump(by_alias=True), sort_keys=True)))
    return checked
