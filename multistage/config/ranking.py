"""Sections of the config that say who ranks: first stages and teachers."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from multistage.config.data import QuerySetName, RetrieverName, Server, SourceName
from multistage.config.fields import (
    ComparedMeasure,
    Count,
    Name,
    NotNegative,
    Section,
    Seed,
    Several,
    Share,
    Some,
    Told,
    Unique,
    matching,
    one_of,
    refers_to,
    undefined,
)
from multistage.config.recipes import FIRST_STAGE


def _of_objectives(recipe: str, info: ValidationInfo) -> str:
    objectives = (info.context or {}).get("objectives")
    if recipe == FIRST_STAGE:
        raise ValueError(f"{recipe!r} has another meaning in the tables; rename its objectives")
    for name in recipe.split("-"):
        if isinstance(objectives, dict) and name not in objectives:
            raise ValueError(f"in {recipe!r}, {undefined(name, 'objectives', objectives)}")
    return recipe


CheckpointName = Annotated[Name, refers_to("checkpoints")]
TeacherName = Annotated[Name, refers_to("teachers")]
RECIPE = matching(r"^[a-z0-9_]+(-[a-z0-9_]+)*$", "a recipe (objectives joined by dashes)")
Recipe = Annotated[str, RECIPE, Field(max_length=200), AfterValidator(_of_objectives)]
BackboneName = Annotated[Name, refers_to("backbones")]

# A Literal would take true for 1, and 2.0 for 2.
BITS = [1, 2, 4, 8]
Bits = Annotated[int, one_of(BITS, "possible"), Field(json_schema_extra={"enum": BITS})]


class _FirstStage(Section):
    depth: Count = Field(100, description="Passages kept for each query.")


class _Encoder(_FirstStage):
    checkpoint: CheckpointName = Field(description="The encoder.")
    max_length: Count = Field(180, description="Tokens read of a passage.")
    shards: Count = Field(1, description="Parts that are encoded, indexed and searched by jobs of their own.")


# BM25 that is neither given other settings nor tuned: Anserini's defaults.
UNTUNED = {"k1": 0.9, "b": 0.4}


class Tune(Section):
    """What k1 and b are chosen from: of every pair, the one with the best measure on all queries of validation.queryset; of
    equal ones the first. The choice is one of the retriever's, for all query sets that it searches."""

    measure: ComparedMeasure = Field("nDCG@10", description="The measure that chooses.")
    k1: Some[NotNegative] = Field(description="Values of k1 that are tried.")
    b: Some[Share] = Field(description="Values of b that are tried.")


class BM25(_FirstStage):
    """BM25 with Lucene."""

    kind: Literal["bm25"]
    tune: Tune | None = Field(None, description="Choose k1 and b on validation queries; give this or them.")
    k1: NotNegative | None = Field(
        default_factory=lambda given: None if given["tune"] else UNTUNED["k1"],
        description="Saturation of term frequency: 0.9 where it is not given, null with tune.",
    )
    b: Share | None = Field(
        default_factory=lambda given: None if given["tune"] else UNTUNED["b"],
        description="Normalisation by passage length: 0.4 where it is not given, null with tune.",
    )
    threads: Count = Field(1, description="Threads that index and search; changing them reruns nothing.")

    @model_validator(mode="after")
    def _given_or_tuned(self) -> "BM25":
        for key, value in (("k1", self.k1), ("b", self.b)):
            if (value is None) != bool(self.tune):
                raise ValueError(f"{key} is {'null' if value is None else value}; give a number, or tune and null")
        return self


class ColBERT(_Encoder):
    """ColBERT (late interaction) with a PLAID index."""

    kind: Literal["colbert"]
    nbits: Bits = Field(4, description="Bits of each dimension's residual in the index.")
    kmeans_passages: Count | None = Field(None, description="Passages that are clustered; null: PLAID's choice, slow on a CPU.")
    full_scores: Count = Field(4096, description="Passages of a query whose score is computed in full.")


class Dense(_Encoder):
    """A bi-encoder with exact search by inner product."""

    kind: Literal["dense"]
    pooling: Literal["cls", "mean"] = Field(description="How a text's vector comes from those of its tokens.")


class ReadyRun(_FirstStage):
    """TREC runs that exist already."""

    kind: Literal["run"]
    runs: dict[QuerySetName, SourceName] = Field(min_length=1, description="The source of the run of each query set.")


class FusedRetriever(_FirstStage):
    """Several retrievers as one: the passages of all by their mean score. A passage that a retriever did not find has 0 there
    (as in ranx)."""

    kind: Literal["fusion"]
    retrievers: Annotated[Unique[RetrieverName], Field(min_length=2)] = Field(
        description="The retrievers, each at least as deep as this one; a fusion cannot be one of them."
    )
    method: Literal["rrf", "min-max", "zmuv"] = Field(
        "rrf",
        description="What a passage scores with each: rrf, 1 / (60 + rank), which is reciprocal rank fusion; else the score, "
        "normalised over a query's passages to 0 to 1, or to zero mean and unit variance.",
    )


Retriever = Annotated[BM25 | ColBERT | Dense | ReadyRun | FusedRetriever, Told()]


class RankingTeacher(Section):
    """One that ranks a retriever's candidates."""

    retriever: RetrieverName = Field(description="The retriever whose candidates are ranked.")
    depth: Several = Field(100, description="Candidates of each query that are ranked.")


class BiEncoder(RankingTeacher):
    """A bi-encoder that ranks the first candidates of a retriever, by its similarity mixed with the retriever's score."""

    kind: Literal["bi-encoder"]
    checkpoint: CheckpointName = Field(description="The encoder.")
    max_length: Count = Field(180, description="Tokens read of a passage.")
    weight: Share = Field(1.0, description="Weight of the teacher's own similarity; the rest is the retriever's score.")


class RankGPT(Section):
    """RankGPT's two files: candidates, and a language model's permutations of them."""

    kind: Literal["rankgpt"]
    candidates: SourceName = Field(description="The source of the candidates.")
    permutations: SourceName = Field(description="The source of the permutations.")
    malformed: Literal["repair", "drop"] = Field(
        "repair", description="Malformed answers are repaired as RankGPT does, or left out."
    )


class LLM(RankingTeacher, Server):
    """A language model that orders the first candidates of a retriever as RankGPT does (Sun et al. 2023), a window at a time,
    from the last candidates to the first. Malformed answers are repaired, and counted."""

    kind: Literal["llm"]
    window: Several = Field(20, description="Candidates in a request.")
    step: Count = Field(10, description="Candidates by which the window moves, fewer than it holds.")

    @field_validator("step")
    @classmethod
    def _overlapping(cls, step: int, info: ValidationInfo) -> int:
        if step >= info.data.get("window", step + 1):
            raise ValueError(f"{step} is not less than window, so nothing would move from one window to the next")
        return step


class TeacherRun(Section):
    """A TREC run with the teacher's scores."""

    kind: Literal["run"]
    run: SourceName = Field(description="The source of the run.")
    depth: Several = Field(100, description="Passages of each query that are taken.")


class RecipeTeacher(RankingTeacher):
    """A re-ranker of this experiment, in the grid or not, that re-ranks the first candidates of a retriever."""

    kind: Literal["recipe"]
    backbone: BackboneName = Field(description="Its backbone.")
    recipe: Recipe = Field(description="Its recipe; none of its objectives may learn from this teacher.")
    seed: Seed = Field(description="Its seed.")


class MeanTeacher(Section):
    """The mean of several teachers' scores, each normalised over a query's passages. A passage that a teacher lacks has 0 there
    (as in ranx): with min-max it is as bad as the last that the teacher ranks, with zmuv as good as its average one."""

    kind: Literal["mean"]
    teachers: Annotated[Unique[TeacherName], Field(min_length=2)] = Field(description="The teachers.")
    norm: Literal["min-max", "zmuv"] = Field("min-max", description="Scores become 0 to 1, or of zero mean and unit variance.")


# Those whose scores are nothing but an order.
OrderingTeacher = RankGPT | LLM

Teacher = Annotated[BiEncoder | RankGPT | LLM | TeacherRun | RecipeTeacher | MeanTeacher, Told()]
