"""Sections of the config that say how re-rankers are trained."""

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from multistage.config.data import QuerySetName, RetrieverName
from multistage.config.fields import (
    Count,
    NotNegative,
    Positive,
    Section,
    Several,
    Share,
    Some,
    Text,
    Told,
    Unique,
    matching,
    one_of,
)
from multistage.config.ranking import BackboneName, CheckpointName, Recipe, TeacherName
from multistage.config.recipes import TEACHER, UNTRAINED
from multistage.losses import LOSSES, Mixture


def _no_label(name: str) -> str:
    if "-" in name:
        raise ValueError("recipes join objectives with dashes, so an objective's name cannot have one; use an underscore")
    if name in (UNTRAINED, TEACHER):
        raise ValueError(f"{name!r} has another meaning in the tables; choose another name")
    return name


def _reading(what: str) -> str:
    return ", ".join(name for name, loss in LOSSES.items() if loss.reads[0] == what)


def _taking(key: str) -> str:
    return ", ".join(name for name, loss in LOSSES.items() if key in loss.takes)


OBJECTIVE = matching(r"^[a-z0-9_]+$", "a name (lower-case letters, digits and underscores)")
ObjectiveName = Annotated[str, AfterValidator(_no_label), OBJECTIVE, Field(max_length=50)]
# Control characters other than line ends are refused, and braces, which would mean something to the chat template it becomes.
AROUND = r"[^{}\x00-\x09\x0b-\x1f]*"
TEMPLATE = matching(rf"^{AROUND}\{{query\}}{AROUND}\{{passage\}}{AROUND}$", "a text with {query} and then {passage}, each once")
LossName = Annotated[str, one_of(LOSSES, "a loss"), Field(json_schema_extra={"enum": list(LOSSES)})]
# One loss, or the weights of several. The tags are written as those of `Told`.
OneOrWeights = Annotated[
    Annotated[LossName, Tag("<one>")] | Annotated[dict[LossName, Positive], Field(min_length=1), Tag("<weights>")],
    Discriminator(lambda given: "<weights>" if isinstance(given, dict) else "<one>"),
]
Schedule = Literal["constant_with_warmup", "linear", "cosine"]


class Training(Section):
    """How fine-tuning runs. Changing these keys reruns nothing."""

    processes: Count = Field(1, description="Processes that share a stage's steps; with device cuda, each on a GPU of its own.")
    checkpoint_minutes: NotNegative = Field(5.0, description="Minutes between checkpoints, from which a killed stage resumes.")
    compile: bool = Field(False, description="Compile a re-ranker's layers when a stage starts; needs a C++ compiler.")
    tensorboard: bool = Field(False, description="Write TensorBoard event files to results/<experiment>/tensorboard/.")


class Lora(Section):
    """Low-rank adaptation (Hu et al. 2022): of the encoder, products of two small matrices beside some weights are trained, in
    place of all weights. They are added to the weights when a model is written."""

    kind: Literal["lora"]
    rank: Count = Field(16, description="Inner dimension of the product.")
    alpha: Count = Field(32, description="The product counts alpha / rank times.")
    modules: Some[Text] = Field(description="Linear layers of the encoder that get one: the last part of their names.")


class PairSettings(Section):
    """What decides training and scoring with a backbone, beside its weights."""

    max_length: Count = Field(256, description="Tokens of a (query, passage) pair at most; the passage is cut.")
    max_query_length: Count = Field(64, description="Tokens of a query at most; less than max_length.")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.1, description="Dropout while training.")
    frozen: Unique[Text] = Field([], description="Parameters not trained: parts of their names, as in [position_embeddings].")
    adapter: Lora | None = Field(None, description="What is trained in place of the encoder's weights, beside the head.")
    template: Annotated[str, TEMPLATE] | None = Field(
        None,
        description="What a pair looks like, special tokens included, such as 'Query: {query} Passage: {passage}'; null: as "
        "the tokenizer lays it out.",
    )


class Backbone(PairSettings):
    """An encoder that becomes a re-ranker."""

    checkpoint: CheckpointName = Field(description="The pre-trained model.")
    tokenizer: CheckpointName = Field(
        default_factory=lambda given: given["checkpoint"],
        description="The checkpoint whose tokenizer is used, by default its own; with one, backbones share token stores.",
    )
    tokens_per_batch: Count = Field(4096, description="Padded tokens in a forward pass. Reruns nothing.")
    tokens_kept: Count = Field(
        65536, description="Padded tokens in a backward pass; larger groups are scored twice. Reruns nothing."
    )
    packed: bool = Field(False, description="Train without padding: BERT, ELECTRA, RoBERTa or XLM-R, on GPUs. Reruns nothing.")

    def definition(self) -> dict[str, Any]:
        """Its pair settings alone: not how much fits in memory, which changes rounding, and which units are dropped."""
        return self.model_dump(include=set(PairSettings.model_fields))


class RerankedBy(Section):
    """A re-ranker, of the stage's own seed, that chooses hard negatives."""

    backbone: BackboneName = Field(description="Its backbone.")
    recipe: Recipe = Field(description="Its recipe, which cannot contain the objective itself.")
    top: Count = Field(10, description="Of the re-ranked passages, from the first, those that may become negatives.")


class FirstStageCandidates(Section):
    """The relevant passages, and negatives from the first passages of a retriever; with a teacher also its ranks and scores."""

    queryset: QuerySetName = Field(description="The training queries.")
    retriever: RetrieverName = Field(description="The retriever that negatives come from.")
    depth: Count = Field(description="Passages of each query, from the first, that may become negatives.")
    teacher: TeacherName | None = Field(None, description="A teacher of the same candidates.")
    reranked_by: RerankedBy | None = Field(
        None, description="A re-ranker of an earlier stage: the `depth` passages are re-ranked, and negatives are its first."
    )
    drop_above: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="Leave out unjudged passages that the teacher scores at least this share of its best relevant one, both "
        "above its lowest score for the query: they may be relevant.",
    )

    @model_validator(mode="after")
    def _able_to_drop(self) -> "FirstStageCandidates":
        if self.drop_above is not None and self.teacher is None:
            raise ValueError("drop_above compares a teacher's scores, and no teacher is named")
        if self.reranked_by and self.reranked_by.top > self.depth:
            raise ValueError(f"reranked_by.top is {self.reranked_by.top}, but only {self.depth} passages are re-ranked (depth)")
        return self


class TaughtCandidates(Section):
    """The passages that a teacher ranks, in its order."""

    queryset: QuerySetName = Field(description="The training queries.")
    teacher: TeacherName = Field(description="The teacher.")


Candidates = Annotated[FirstStageCandidates | TaughtCandidates, Told("retriever", "teacher")]


class Position(Section):
    """What differs at one position in a recipe; a key without a value stays the objective's."""

    steps: Count | None = Field(None, description="Optimizer steps, in place of the objective's steps or epochs.")
    epochs: Positive | None = Field(None, description="Passes over the queries, in place of the objective's steps or epochs.")
    learning_rate: Positive | None = Field(None, description="Another peak learning rate.")
    schedule: Schedule | None = Field(None, description="Another schedule.")
    warmup: Share | None = Field(None, description="Another share of warm-up steps.")


class Objective(Section):
    """A loss, the candidates it sees, and how long it trains."""

    like: str | None = Field(None, description="Another objective, which gives every key that is not given here.")
    loss: OneOrWeights = Field(
        description="What is learned: a loss, or several with their weights, such as {localized-contrastive: 1.0, "
        "margin-mse: 0.1}. From judgements, relevant passages before the others: "
        f"{_reading('judgements')}. An order, a teacher's or relevant before the rest: {_reading('order')}. "
        f"A teacher's scores: {_reading('scores')}."
    )
    temperature: Positive = Field(
        1.0,
        description="What a softmax divides scores by, in listnet the teacher's, else the model's. For "
        f"{_taking('temperature')}.",
    )
    positive_weight: Positive = Field(1.0, description=f"The weight of relevant passages. For {_taking('positive_weight')}.")
    candidates: Candidates = Field(description="The passages it trains on.")
    group_size: Several = Field(description="Passages of a query in a group; one is relevant, unless a teacher orders them.")
    positives: Literal["one", "all"] = Field(
        "one", description="Relevant passages in a group: one, drawn anew each time, or all, by grade for losses of an order."
    )
    queries_per_step: Count = Field(description="Groups in an optimizer step.")
    steps: Count | None = Field(None, description="Optimizer steps in the stage. Give steps or epochs.")
    epochs: Positive | None = Field(None, description="Passes over the training queries. Give steps or epochs.")
    learning_rate: Positive = Field(description="AdamW's peak learning rate.")
    schedule: Schedule = Field("linear", description="The learning rate's course after the warm-up.")
    warmup: Share = Field(0.1, description="The share of the steps in which the learning rate rises.")
    weight_decay: NotNegative = Field(0.01, description="AdamW's weight decay.")
    max_gradient_norm: Positive = Field(10.0, description="Gradients are clipped to this norm.")
    validate_every: Count = Field(100, description="Steps between two validations, at least.")
    patience: Count | None = Field(
        None, description="Validations without a better value after which the stage ends, with its best weights as the model."
    )
    positions: dict[Annotated[str, matching("^[1-9]$", "a position (1 to 9)")], Position] = Field(
        {}, description='What differs by the place in a recipe, such as {"2": {learning_rate: 1.0e-4}} for a second stage.'
    )

    @model_validator(mode="after")
    def _one_length(self) -> "Objective":
        for position in ("1", *self.positions):
            stage = self.definition(int(position))
            if (stage["steps"] is None) == (stage["epochs"] is None):
                raise ValueError(f"at position {position}, give either steps or epochs, and null for the other")
        return self

    @property
    def weights(self) -> dict[str, float]:
        """The losses and their weights."""
        return self.loss if isinstance(self.loss, dict) else {self.loss: 1.0}

    @property
    def contrasts(self) -> bool:
        """Whether a group is a relevant passage and others, not passages that a teacher ranked."""
        needed = any(LOSSES[name].relevant != "any" for name in self.weights)
        return needed or isinstance(self.candidates, FirstStageCandidates)

    def mixture(self) -> Mixture:
        """Its losses with their weights and settings."""
        return Mixture(self.weights, {name: {key: getattr(self, key) for key in LOSSES[name].takes} for name in self.weights})

    def definition(self, position: int = 1) -> dict[str, Any]:
        """What a stage at a position of its recipe, counted from 1, is made by."""
        place = self.positions.get(str(position))
        objective = self.model_dump(exclude={"like", "positions"})
        return changed(objective, place.model_dump(exclude_none=True)) if place else objective

    def total_steps(self, queries: int) -> int:
        """Optimizer steps of the stage, for a training set of so many queries."""
        return self.steps or math.ceil((self.epochs or 0) * queries / self.queries_per_step)


def changed(objective: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """An objective with other values. Of steps and epochs, one that is given alone takes the place of the other."""
    for key, other in (("steps", "epochs"), ("epochs", "steps")):
        if changes.get(key) is not None and other not in changes:
            objective = objective | {other: None}
    return objective | changes


class Validation(Section):
    """The small fixed re-ranking set that training is watched on, by nDCG@10."""

    queryset: QuerySetName = Field(description="The query set.")
    retriever: RetrieverName = Field(description="The retriever whose passages are re-ranked.")
    depth: Several = Field(20, description="Passages of each query that are re-ranked.")
    queries: Count = Field(100, description="Use only the first so many queries.")
    share: Share = Field(0.03, description="The share of a stage's compute that validation may take, or it is done less often.")
    export: Literal["best", "last"] = Field(
        "last",
        description="Which weights become a stage's model; both are kept, and where patience ends the stage it is the best. "
        "Where the learning rate falls to zero, take the last: the best of a few validations is chance.",
    )

    def definition(self) -> dict[str, Any]:
        """How a stage uses the set; what is in it comes as a file."""
        return self.model_dump(include={"share", "export"})
