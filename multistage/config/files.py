"""Config files as they are written: what is lost when they are read and merged."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import yaml

from multistage.jobs.errors import InputError


def refuse_files(paths: Iterable[str | Path]) -> None:
    """Raise InputError for a result that is given as a config file, and for a file that gives a key twice."""
    for path in paths:
        if Path("results").absolute() in Path(path).parents:
            raise InputError(
                f"{path}: a result is given as a config file. Name targets before --configfile, which takes all that follows."
            )
        with open(path, encoding="utf-8") as stream, suppress(yaml.YAMLError):  # read already: then it is JSON
            for key, first, line in _repeated(yaml.compose(stream, yaml.CSafeLoader)):
                raise InputError(f"{path}, line {line}: {key} is there in line {first} already, which would be lost; keep one.")


def _repeated(node: yaml.Node | None, place: str = "") -> Iterator[tuple[str, int, int]]:
    """(key, its first line, its other line) of each key that stands twice in its mapping."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated(item, place)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            name, line = (key.tag, str(key.value)), key.start_mark.line + 1
            if name in lines:
                yield f"{place}{key.value}", lines[name], line
            lines[name] = line
            yield from _repeated(value, f"{place}{key.value}.")
