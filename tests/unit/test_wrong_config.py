"""Wrong configs: every key of every model with values of other types, out of range or unknown, made from the models."""

import copy
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from configs import merged
from multistage.config.fields import FORMS, Section
from multistage.config.files import refuse_files
from multistage.config.whole import SHARED, complete_config
from multistage.data.leaks import check_leaks
from multistage.data.sampling import Groups
from multistage.data.tables import write_queries
from multistage.jobs.errors import InputError
from small_groups import groups_from
from wrong_inputs import Case, judged

CONFIG = merged(
    *(f"configs/{name}.yaml" for name in ("recipes-tour", "own-unlabelled", "own", "ecir2025", "qwen3-lora")),
    # What they do not use.
    {
        "grid": {"fusion": {}},
        "evaluation": {"reference": "published.csv"},
        "checkpoints": {"own": {"path": "model"}},
        "retrievers": {
            "tuned": {"kind": "bm25", "tune": {"k1": [0.6, 1], "b": [0.4, 0.75]}, "depth": 100},
            "both": {"kind": "fusion", "retrievers": ["bm25", "tuned"]},
        },
        "teachers": {"judge": {"api_key_env": "KEY", "max_requests": 9, "max_tokens": 9}},
        "objectives": {"joint": {"group_size": 9}},
    },
)
SETTINGS = complete_config(CONFIG)

Place = tuple[str, ...]
Schema = dict[str, Any]


def sections(path: Place, value: Any) -> Iterator[tuple[Place, Section]]:
    """Every section of the config, with where it stands."""
    if isinstance(value, Section):
        yield path, value
        inner = {field.alias or name: getattr(value, name) for name, field in type(value).model_fields.items()}
    else:
        inner = value if isinstance(value, dict) else {}
    for key, each in inner.items():
        yield from sections((*path, key), each)


def wrong_values(node: Schema) -> Iterator[tuple[str, Any]]:
    """(kind, value) of what a key with this schema must refuse."""
    options = [each for each in node.get("anyOf", [node]) if each.get("type") != "null"]
    if "anyOf" not in node:
        yield "null", None
    (node,) = options if len(options) == 1 else [{"type": "object"}]
    of = node.get("type", "object")
    if of in ("integer", "number"):
        yield from (("not a number", each) for each in ("many", [1], True))
        yield from (("not finite", each) for each in (math.nan, math.inf))
        yield "out of range", -1
    if of == "integer":
        yield from (("not an integer", each) for each in (1.5, 42.0, 1.0))
        yield from (("out of range", each) for each in (10**30, node.get("minimum", 0) - 1))
    if of == "string":
        yield from (("not text", each) for each in (5, True, ["x"]))
        yield "not one line", "a\n"
        if "text" not in FORMS.get(node.get("pattern"), ""):
            yield from (("no name", each) for each in ("", "x" * 300, "../up"))
    if of == "boolean":
        yield from (("not true or false", each) for each in ("yes", 1, 0.0, []))
    if of == "array":
        yield from (("not a list", each) for each in ("x", 1, {"x": "x"}))
        yield from (("wrong item", [each]) for each in (None, "0" if node["items"].get("type") == "number" else 1.5, {}, []))
    if "minItems" in node:
        yield "empty", []
    if of == "object":
        yield from (("not keys", each) for each in ("x", -1, ["x"]))
        yield "unknown key", {"no-such-key": 1}


def with_value(path: Place, value: Any, *folders: Path) -> None:
    """Complete the config with another value at a place."""
    config = copy.deepcopy(CONFIG)
    node: Any = config
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    complete_config(config)


def of_models() -> Iterator[Case]:
    seen = set()
    for path, section in sections((), SETTINGS):
        for key, node in type(section).model_json_schema()["properties"].items():
            shape = key, *(str(node.get(about)) for about in ("type", "pattern", "enum", "anyOf", "minimum"))
            if shape not in seen:
                seen.add(shape)
                place = ".".join(path if key == "kind" else (*path, key))
                for kind, value in wrong_values(node):
                    yield Case(f"config: {kind}", f"{place}={value!r:.40}", partial(with_value, (*path, key), value), place)


def of_names() -> Iterator[Case]:
    by_name = {key: entries for key, entries in CONFIG.items() if isinstance(getattr(SETTINGS, key), dict)}
    for section, entries in by_name.items():
        entry = next(iter(entries.values()))
        for name in ("", "a\n", "../a", "é", "x" * 300, 5):
            yield Case("config: name", f"{section}.{name!r:.40}", partial(with_value, (section, name), entry), section)
    for name in SHARED:
        yield Case("config: shared folder", name, partial(with_value, ("experiment",), name.title()), "experiment")


TRAINING = [("1", "capital of France"), ("2", "longest river of Africa")]


def leak(benchmark: list[tuple[str, str]], collection: str, allowed: list[str], given: Path, output: Path) -> None:
    write_queries(given / "train.parquet", TRAINING, "train")
    write_queries(given / "test.parquet", benchmark, "test")
    check_leaks(
        [given / "train.parquet", given / "test.parquet"],
        learned=["train"],
        benchmarks=["test"],
        collections={"train": "mine", "test": collection},
        allowed=allowed,
        output=output / "leaks.csv",
    )


def of_leaks() -> Iterator[Case]:
    place = "test has 1 of its 2 queries in common with train, such as"
    for name, query in {
        "by id": ("2", "rivers"),
        "by text": ("a", "capital of France"),
        "by text in another case": ("a", "Capital of FRANCE"),
        "by text with other blanks": ("a", " capital\u00a0of  France\t"),
        "by text in another Unicode form": ("a", "\uff43apital of France"),
        "all of it": TRAINING[0],
    }.items():
        queries = [("b", "something else"), query]
        yield Case("leak", name, partial(leak, queries, "mine", []), place)
        yield Case("leak", f"{name}, allowed", partial(leak, queries, "mine", ["test"]))
        elsewhere = None if name == "by id" else place  # ids count in one collection only
        yield Case("leak", f"{name}, another collection", partial(leak, queries, "other", []), elsewhere)


def with_secret(path: Place, value: Any, *folders: Path) -> None:
    try:
        with_value(path, value)
    except InputError as error:
        assert "hidden" not in str(error)
        raise


QUERIES = ("sig=hidden", "id=1#hidden", "id=1&X-Amz-Signature=hidden", "$TOKEN&token=hidden", "hidden", "token=$A.hidden")
SECRET = ["me:hidden@a.org/f", "hidden@a.org/f", "a.org/f#hidden", "a.org/f;hidden", *(f"a.org/f?{each}" for each in QUERIES)]


def of_addresses() -> Iterator[Case]:
    def download(address: str) -> Callable[..., None]:
        return partial(with_secret, ("sources", "other"), {"url": f"http://{address}", "file": "f", "licence": "mine"})

    for address in SECRET:
        yield Case("address with a secret", address, download(address), "sources.other.url: it may hold a password")
    for key, value in (("api_key_env", "sk-hidden"), ("api_key_env", "hidden"), ("base_url", "http://me:hidden@a.org/v1")):
        place = ("teachers", "judge", key)
        yield Case("address with a secret", f"{key}={value}", partial(with_secret, place, value), ".".join(place))
    for address in ("a.org/f?id=a/b&download=1", "a.org/$A/f?token=$TOKEN&id=1", "a.org/f?$QUERY"):
        yield Case("address without one", address, download(address))


def config_file(text: str, given: Path, output: Path) -> None:
    (given / "mine.yaml").write_text(text)
    refuse_files([given / "mine.yaml"])


def of_files() -> Iterator[Case]:
    for text, line, key in (
        ("grid: {}\ndevice: cpu\ngrid:\n  depth: 3\n", 3, "grid"),
        ("grid:\n  depth: 2\n  seeds: [1]\n\n  depth: 3\n", 5, "grid.depth"),
        ("a: {b: 1,\n  c: {d: 1, d: 1}}\n", 2, "a.c.d"),
        ("a:\n- b: 1\n- c: 1\n  'c': 2\n", 4, "a.c"),
        ("a:\n  1: x\n  1: y\n", 3, "a.1"),
        ('{"a": 1,\n "a": 2}', 2, "a"),
    ):
        yield Case("a key twice", repr(text), partial(config_file, text), f"mine.yaml, line {line}: {key} is there in line")
    for text in ("a: {d: 1}\nb: {d: 1}\nc: [{d: 1}]\n", 'a: {1: x, "1": x}\n', "a: &a {d: 1}\nb: *a\n", '{"a": "\\/"}', ""):
        yield Case("no key twice", repr(text), partial(config_file, text))


def group_size(wanted: int, given: Path, output: Path) -> None:
    groups_from([[1, -1, -1], [1, -1, -1]], passages=[[0, 1, 2], [1, 0, -1]]).write(given / "groups.safetensors")
    Groups.read(given / "groups.safetensors", wanted)


SIZES = [
    Case("group size", "as many as a query has", partial(group_size, 3)),
    Case("group size", "more than any query has", partial(group_size, 4), "groups.safetensors: no query has more than 3"),
]
test_wrong = judged([*of_models(), *of_names(), *of_leaks(), *of_addresses(), *of_files(), *SIZES])
