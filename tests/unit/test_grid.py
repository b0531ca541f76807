"""The grid: what it trains, what it compares, and at which depths."""

import pytest

from multistage.config.grid import further_stages, in_folds, rerankers, reranking_depths, systems, trained_stages


@pytest.fixture
def config():
    """Two teachers: one ranks BM25's candidates, one has permutations of its own. kd-cl's stage kd is trained for it alone."""
    return {
        "grid": {
            "backbones": ["tiny"],
            "recipes": ["cl", "cl-kd", "kd-cl"],
            "seeds": [1, 2],
            "retrievers": ["bm25", "dense"],
            "benchmarks": ["dl19"],
            "depth": 7,
            "fusion": None,
        },
        "teachers": {"minilm": {"kind": "bi-encoder", "retriever": "bm25"}, "gpt": {"kind": "rankgpt"}},
        "objectives": {
            "cl": {"candidates": {"retriever": "bm25"}},
            "kd": {"candidates": {"teacher": "minilm"}},
            "other": {"candidates": {"teacher": "gpt"}},
        },
        "evaluation": {"passages": "reranked", "depths": 4},
    }


def test_models_on_the_way_are_trained_once(config):
    assert rerankers(config)[:3] == [("tiny", "untrained", "1"), ("tiny", "untrained", "2"), ("tiny", "cl", "1")]
    trained = trained_stages(config)
    assert len(trained) == len(set(trained)) == 8
    assert {recipe for _, recipe, _ in trained} == {"cl", "cl-kd", "kd", "kd-cl"}


def test_models_are_trained_once_a_fold(config):
    for folds, seeds in ((None, ["1", "2"]), (3, ["1/fold1", "1/fold2", "1/fold3", "2/fold1", "2/fold2", "2/fold3"])):
        config["grid"]["folds"] = folds
        assert [seed for _, recipe, seed in in_folds(config, trained_stages(config)) if recipe == "cl"] == seeds


def test_a_mean_of_teachers_of_one_first_stage_is_compared(config):
    mean = {"kind": "mean", "teachers": ["minilm", "big"]}
    config["teachers"] |= {"big": {"kind": "recipe", "retriever": "bm25"}, "mean": mean}
    config["objectives"]["kd"]["candidates"]["teacher"] = "mean"
    assert [system[:2] for system in systems(config) if system[2] == "teacher"] == [("bm25", "mean")]
    config["teachers"]["big"]["retriever"] = "dense"
    assert not [system for system in systems(config) if system[2] == "teacher"]


def test_only_stages_whose_parent_is_in_the_grid_are_set_beside_it(config):
    assert further_stages(config) == [("tiny", "cl-kd", "cl")]


def test_systems_stand_in_the_order_of_the_table(config):
    config["grid"].update(recipes=["kd"], seeds=[1])
    assert systems(config) == [
        ("bm25", "", "first-stage", ""),
        ("bm25", "minilm", "teacher", ""),
        ("bm25", "tiny", "untrained", "1"),
        ("bm25", "tiny", "kd", "1"),
        ("dense", "", "first-stage", ""),
        ("dense", "tiny", "untrained", "1"),
        ("dense", "tiny", "kd", "1"),
    ]
    config["grid"].update(fusion={"norm": "min-max"}, retrievers=["dense"])
    assert [system[2] for system in systems(config)] == ["first-stage", "untrained", "kd", "kd+fused"]


@pytest.mark.parametrize(("depth", "steps", "depths"), [(7, 4, [2, 4, 5, 7]), (2, 5, [1, 2]), (100, 5, [20, 40, 60, 80, 100])])
def test_depths_end_in_the_grids(config, depth, steps, depths):
    config["grid"]["depth"], config["evaluation"]["depths"] = depth, steps
    assert reranking_depths(config) == depths


def test_a_grid_without_recipes_compares_first_stages(config):
    config["grid"]["recipes"] = []
    assert rerankers(config) == [] and {recipe for _, _, recipe, _ in systems(config)} == {"first-stage"}
