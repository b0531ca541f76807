"""What sections of the config are made of: strict models, names, numbers, references, unions told apart by a key."""

from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from multistage import measures

Item = TypeVar("Item")
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
FILE_NAME = r"^[A-Za-z0-9_][A-Za-z0-9._-]*$"
RECIPE = r"^[a-z0-9_]+(-[a-z0-9_]+)*$"
PACKAGE = r"^[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+$"
HUB_MODEL = r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$"
URL = r"^https?://"
SHA256, MD5 = r"^[0-9a-f]{64}$", r"^[0-9a-f]{32}$"
# What a text that does not match one of these should have been.
MEANINGS = {
    NAME: "a name may have letters, digits, dots, dashes and underscores, and begins with a letter or a digit",
    FILE_NAME: "a file name may have letters, digits, dots, dashes and underscores; give one as file if the url has none",
    RECIPE: "a recipe is one or more objectives joined by dashes",
    PACKAGE: "a package is written as name==version",
    HUB_MODEL: "a model of the Hub is written as organisation/model",
    URL: "an address begins with http:// or https://",
    SHA256: "a SHA-256 has 64 hexadecimal digits, in lower case",
    MD5: "an MD5 sum has 32 hexadecimal digits, in lower case",
    measures.PATTERN: f"choose from {measures.CHOICES}",
}


class Section(BaseModel):
    """A part of the config: no unknown keys, no conversions (42.0 is not an integer, "1" not a number), no nan or inf."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, given: Any) -> Any:
        """Name the keys that are possible where one is unknown."""
        if isinstance(given, dict):
            known = [field.alias or name for name, field in cls.model_fields.items()]
            for key in given:
                if key not in known:
                    raise PydanticCustomError("unknown_key", "{known}", {"key": str(key), "known": ", ".join(known)})
        return given


def refers_to(section: str) -> AfterValidator:
    """A name that must be defined in a section of the config, where the whole config is known (as validation's context)."""

    def check(name: str, info: ValidationInfo) -> str:
        defined = (info.context or {}).get(section)
        if isinstance(defined, dict) and name not in defined:
            raise ValueError(undefined(name, section, defined))
        return name

    return AfterValidator(check)


def undefined(name: str, section: str, defined: dict[str, Any]) -> str:
    """What to say of a name that a section lacks."""
    return f"{name!r} is not defined under {section}; choose from {', '.join(map(str, defined))}"


def _without_repetition(values: list[Item]) -> list[Item]:
    repeated = [value for place, value in enumerate(values) if value in values[:place]]
    if repeated:
        raise ValueError(f"{repeated[0]!r} is given twice")
    return values


def told_by_kind(*kinds: str) -> Discriminator:
    """For a union of sections, each with a `kind` of its own and the tag `<kind>`."""

    def tag(given: Any) -> str | None:
        kind = given.get("kind") if isinstance(given, dict) else getattr(given, "kind", None)
        return f"<{kind}>" if kind in kinds else None

    return Discriminator(tag, custom_error_type="kind", custom_error_message=", ".join(kinds))


def told_by_key(*keys: str, otherwise: str | None = None) -> Discriminator:
    """For a union of sections, each with one of the keys, and the tag `<key>`; otherwise: the tag where none is given."""

    def tag(given: Any) -> str | None:
        found = [key for key in keys if (key in given if isinstance(given, dict) else hasattr(given, key))]
        return f"<{found[0]}>" if len(found) == 1 else None if found else otherwise

    return Discriminator(tag, custom_error_type="which_key", custom_error_message=", ".join(keys))


Name = Annotated[str, StringConstraints(pattern=NAME, max_length=100)]
Text = Annotated[str, StringConstraints(min_length=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Unique = Annotated[list[Item], Field(json_schema_extra={"uniqueItems": True}), AfterValidator(_without_repetition)]
Some = Annotated[Unique[Item], Field(min_length=1)]
Measure = Annotated[str, StringConstraints(pattern=measures.PATTERN)]
