"""What sections of the config are made of: strict models, names, numbers, references, unions told apart by a key."""

from collections.abc import Collection
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, ValidationInfo, model_validator
from pydantic_core import core_schema

from multistage import measures

Item = TypeVar("Item")
# By pattern: what a text that matches it is. Before a bracket, it is also what the reference page calls it.
FORMS: dict[str, str] = {}


class Section(BaseModel):
    """A part of the config: no unknown keys, no conversions (42.0 is not an integer, "1" not a number), no nan or inf."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, given: Any) -> Any:
        """Name the keys that are possible where one is unknown."""
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for key in given if isinstance(given, dict) else ():
            if key not in known:
                raise ValueError(f"unknown key {key}; choose from {', '.join(known)}")
        return given


class Told:
    """Marks a union of sections: told apart by their `kind` or, given keys, by the first of them that is there (None: none is).

    The tags, which pydantic puts into the place of an error, are written <tag>, so that no name in the config is one.
    """

    def __init__(self, *keys: str | None) -> None:
        self.keys = keys

    def __get_pydantic_core_schema__(self, union: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        models = get_args(union)
        tags = self.keys or [get_args(model.model_fields["kind"].annotation)[0] for model in models]
        wanted = "one of the keys" if self.keys else "a kind, one of"
        return core_schema.tagged_union_schema(
            {f"<{tag}>": handler.generate_schema(model) for tag, model in zip(tags, models, strict=True)},
            self._tag,
            custom_error_type="told",
            custom_error_message=f"should have {wanted} {', '.join(filter(None, tags))}",
        )

    def _tag(self, entry: Any) -> str | None:
        """The tag of an entry: a mapping on the way in, a model on the way out."""
        given = entry if isinstance(entry, dict) else getattr(entry, "__dict__", {})
        found = next((key for key in self.keys if key in given), None) if self.keys else given.get("kind")
        return f"<{found}>"


def matching(pattern: str, form: str) -> Any:
    """A field whose text matches a pattern, such as "a name (letters and digits)"."""
    FORMS[pattern] = form
    return Field(pattern=pattern)


def refers_to(section: str) -> AfterValidator:
    """A name that must be defined in a section of the config, where the whole config is known (as validation's context)."""

    def check(name: str, info: ValidationInfo) -> str:
        defined = (info.context or {}).get(section)
        if isinstance(defined, dict) and name not in defined:
            raise ValueError(undefined(name, section, defined))
        return name

    return AfterValidator(check)


def one_of(choices: Collection[Any], what: str) -> AfterValidator:
    """A value among choices, each of which is `what`, such as "a loss"."""

    def check(value: Any) -> Any:
        if value not in choices:
            raise ValueError(f"{value!r} is not {what}; choose from {', '.join(map(str, choices))}")
        return value

    return AfterValidator(check)


def undefined(name: str, section: str, defined: dict[str, Any]) -> str:
    """What to say of a name that a section lacks."""
    return f"{name!r} is not defined under {section}; choose from {', '.join(map(str, defined))}"


def _without_repetition(values: list[Item]) -> list[Item]:
    repeated = [value for place, value in enumerate(values) if value in values[:place]]
    if repeated:
        raise ValueError(f"{repeated[0]!r} is given twice")
    return values


def compares(measure: str) -> str:
    """A measure, or ValueError for one that compares nothing."""
    if not measures.compares(measure):
        raise ValueError(f"{measure} says how many passages are judged, and compares nothing; choose another measure here")
    return measure


LETTERS = "letters, digits, dots, dashes and underscores"
A_NAME = f"a name ({LETTERS}, a letter or a digit first)"
Name = Annotated[str, matching(r"^[A-Za-z0-9][A-Za-z0-9._-]*$", A_NAME), Field(max_length=100)]
Text = Annotated[str, matching(r"^[^\x00-\x1f]+$", "text (on one line)")]
# More than any file has.
TOO_MANY = 2**63
Natural = Annotated[int, Field(ge=0, lt=TOO_MANY)]
Count = Annotated[int, Field(ge=1, lt=TOO_MANY)]
# Of fewer, nothing can be ordered or split.
Several = Annotated[int, Field(ge=2, lt=TOO_MANY)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Unique = Annotated[list[Item], Field(json_schema_extra={"uniqueItems": True}), AfterValidator(_without_repetition)]
Some = Annotated[Unique[Item], Field(min_length=1)]
Measure = Annotated[str, matching(measures.PATTERN, f"a measure ({measures.CHOICES})")]
# One that systems, or settings, are compared by.
ComparedMeasure = Annotated[Measure, AfterValidator(compares)]
