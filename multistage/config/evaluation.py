"""Sections of the config that say what is compared, and how."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from multistage.config.data import OwnPath, QuerySetName, RetrieverName
from multistage.config.fields import ComparedMeasure, Count, Measure, Positive, Section, Seed, Several, Some, Unique, compares
from multistage.config.ranking import BackboneName, Recipe
from multistage.measures import CHOICES


def _compares_first(measures: list[str]) -> list[str]:
    compares(measures[0])
    return measures


class Fusion(Section):
    """The weighted sum of re-ranked and first-stage scores. The weight is the one in steps of 0.05 with the best measure on all
    queries of validation.queryset, which are re-ranked for that."""

    norm: Literal["min-max", "zmuv"] = Field("min-max", description="Scores become 0 to 1, or of zero mean and unit variance.")
    measure: ComparedMeasure = Field("nDCG@10", description="The measure that chooses the weight.")


class Grid(Section):
    """What is trained and evaluated: every combination of these lists, with the untrained re-rankers beside them."""

    backbones: Some[BackboneName] = Field(description="Encoders that become re-rankers.")
    recipes: Unique[Recipe] = Field(description="Objectives in the order of training, joined by dashes; []: none is trained.")
    seeds: Some[Seed] = Field([42], description="Seeds of training; a recipe's are taken together in tables and tests.")
    retrievers: Some[RetrieverName] = Field(description="First stages whose candidates are re-ranked.")
    benchmarks: Some[QuerySetName] = Field(description="Query sets that are re-ranked and evaluated.")
    depth: Count = Field(100, description="Candidates of each query that are re-ranked.")
    folds: Several | None = Field(
        None,
        description="Cross-validation on one benchmark, which is also trained and validated on: each recipe is trained once a "
        "fold on queries of the others, and every query is ranked by the model that has not seen it.",
    )
    fusion: Fusion | None = Field(None, description="Also fuse re-ranked with first-stage scores, as in {norm: min-max}.")


class Evaluation(Section):
    """What is measured, and how systems are compared (docs/statistics.md)."""

    measures: Annotated[Some[Measure], AfterValidator(_compares_first)] = Field(
        ["nDCG@10", "RR@10", "R@100", "AP"],
        description=f"{CHOICES}; judged: the share of judged passages. Plots, costs and the answer are about the first.",
    )
    passages: Literal["reranked", "all"] = Field("reranked", description="Which passages of first stages and teachers count.")
    depths: Count = Field(5, description="Depths, in equal steps up to grid.depth, at which effectiveness by depth is plotted.")
    baseline: Recipe | None = Field(None, description="The recipe that the grid's others are compared with; null: none.")
    margin: Positive = Field(0.02, description="Two systems are equivalent when their difference is shown to be smaller.")
    confidence: float = Field(0.95, gt=0, lt=1, description="The confidence of intervals; tests have the level 1 - confidence.")
    permutations: Count = Field(10000, description="Permutations of the randomization test.")
    seed: Seed = Field(42, description="The seed of permutations.")
    examples: Count = Field(10, description="Queries that a further stage helps most, and hurts most, on their page.")
    leaks: list[QuerySetName] = Field([], description="Benchmarks that may share queries with what models learn from.")
    reference: OwnPath | None = Field(None, description="Published results, a CSV file such as data/ecir2025.csv.")
