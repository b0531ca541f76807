"""docs/recipes.md: every block is a config that is valid over the default one, trains what it defines, and can be planned."""

import re

import pytest
import yaml

from configs import DEFAULT, merged
from multistage.config.grid import trained_stages
from multistage.config.whole import complete_config
from repository import REPOSITORY
from workflow_runs import jobs, snakemake

TEXT = (REPOSITORY / "docs" / "recipes.md").read_text()
BLOCKS = {block["experiment"]: block for block in map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", TEXT, re.S))}


def models(name):
    """(backbone, recipe, seed) of what a block trains."""
    return trained_stages(merged(BLOCKS[name]))


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_is_valid_and_trains_what_it_defines(name):
    config = merged(BLOCKS[name])
    complete_config(config)
    trained = {objective for _, recipe, _ in models(name) for objective in recipe.split("-")}
    needed = trained | {config["objectives"][objective]["like"] for objective in trained}
    assert "recipes" in BLOCKS[name]["grid"] and BLOCKS[name].get("objectives", {}).keys() <= needed


def test_all_blocks_can_be_planned(tmp_path):
    """In one dry-run of their models: what blocks define has a name of its own in each of them."""
    assert len(BLOCKS) == TEXT.count("```yaml")
    for section in DEFAULT.keys() - {"experiment", "grid", "validation"}:
        names = [name for block in BLOCKS.values() for name in block.get(section, {})]
        assert len(set(names)) == len(names)
    config = merged(*BLOCKS.values(), {"experiment": "recipes", "grid": DEFAULT["grid"]})
    for source in config["sources"].values():
        if "path" in source:
            (tmp_path / source["path"]).parent.mkdir(exist_ok=True)
            (tmp_path / source["path"]).touch()
    (tmp_path / "all.yaml").write_text(yaml.safe_dump(config))
    pattern = "results/recipes/models/{}/{}/seed{}/model.safetensors"
    trained = sorted({pattern.format(*model) for name in BLOCKS for model in models(name)})
    planned = jobs(snakemake(tmp_path, "--dry-run", *trained, configs=[tmp_path / "all.yaml"]))
    assert planned["finetune"] >= len(trained)


def test_negatives_are_refreshed_for_each_seed_and_teachers_rank_once(tmp_path):
    (tmp_path / "seeds.yaml").write_text("grid: {seeds: [1, 2]}")
    configs = [REPOSITORY / "configs" / "recipes-tour.yaml", tmp_path / "seeds.yaml"]
    planned = jobs(snakemake(tmp_path, "--dry-run", configs=configs))
    # The teacher re-ranks training and test queries, the model before each seed's second stage the training queries.
    assert (planned["rerank_candidates"], planned["refreshed_groups"], planned["mean_teacher"]) == (4, 2, 2)
