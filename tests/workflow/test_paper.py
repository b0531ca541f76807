"""The paper's configs: what they plan, and the first one with one backbone, from download to table, all servers on loopback."""

import json
import re
import subprocess
import sys
from collections import Counter

import pandas as pd
import pytest
import yaml
from huggingface_hub import ModelCard

from loopback import HubHandler, commit_of, file_server
from paper_slice import small_config, write_paper
from repository import REPOSITORY
from workflow_runs import jobs, snakemake, succeed

CONFIGS = REPOSITORY / "configs"
PAPER = CONFIGS / "ecir2025.yaml"
PINNED = {"electra-base": "google/electra-base-discriminator", "colbertv2": "colbert-ir/colbertv2.0"}


def planned(tmp_path, *names):
    """The jobs of each rule that config files plan together, by their names."""
    return jobs(snakemake(tmp_path, "--dry-run", configs=[CONFIGS / f"{name}.yaml" for name in names]))


@pytest.fixture(scope="module")
def on_slurm(tmp_path_factory):
    """What a dry-run of the paper's grid says with the profile for Slurm; it needs no cluster."""
    command = [sys.executable, "-m", "snakemake", "--profile", "slurm", "--directory", tmp_path_factory.mktemp("slurm")]
    ended = subprocess.run(
        [*command, "--dry-run", "--configfile", PAPER], cwd=REPOSITORY, capture_output=True, text=True, timeout=300
    )
    succeed(ended)
    return ended


@pytest.fixture(scope="module")
def paper(on_slurm):
    """The jobs of the paper's grid."""
    return jobs(on_slurm)


def test_the_papers_grid(paper):
    assert paper == {
        "download": 3,
        "download_dataset": 6,
        "fetch_checkpoint": 3,
        "prepare_passages": 1,
        "prepare_queries": 6,
        "tokenize": 2 * (1 + 6),
        "bm25_index": 1,
        "bm25_search": 4,
        "colbert_encode": 32,
        "plaid_index": 32,
        "plaid_search": 4 * 32,
        "merge_shards": 4,
        "import_run": 1,
        "read_permutations": 1,
        "training_groups": 2,
        "validation_set": 1,
        "check_leaks": 1,
        "initialise": 2,
        "finetune": 2 * 4,
        "rerank": 2 * 5 * 4,
        "evaluate": 4,
        "view_queries": 2 * 4,
        "compare": 1,
        "tabulate": 1,
        "untrained_card": 2,
        "model_card": 2 * 4,
    }


def test_slurm_gets_a_third_of_the_jobs(on_slurm, paper):
    """What is marked local is not submitted, a group is once."""
    rules = "\n".join(path.read_text() for path in (REPOSITORY / "rules").glob("*.smk"))
    blocks = re.findall(r"^(?:use )?rule (?:\w+ as )?(\w+).*:\n((?:[ \n].*\n?)*)", rules, re.M)
    local = {name for name, body in blocks if "localrule: True" in body}
    grouped = yaml.safe_load((REPOSITORY / "profiles" / "slurm" / "config.yaml").read_text())["groups"]
    groups = Counter(re.findall(r"Group job (\w+) \(", on_slurm.stdout + on_slurm.stderr))
    assert groups == {"colbert_shard": 32, "queries": 6 + 2, "evaluation": 4}
    single = [count for name, count in paper.items() if name not in {*local, *grouped}]
    assert {"download", "download_dataset", "fetch_checkpoint", "tabulate"} < local and sum(single) + groups.total() == 110


def test_the_learning_rates_share_stage_one_and_the_groups(tmp_path, paper):
    plan = planned(tmp_path, "ecir2025", "ecir2025-lr")
    assert plan["finetune"] == 2 * 3 * (2 + 2 * 5)
    assert plan["rerank"] == 2 * 3 * (1 + 2 + 2 * 5) * 4
    changed = {"finetune", "rerank", "initialise", "model_card", "untrained_card"}
    assert {name: count for name, count in plan.items() if name not in changed} == {
        name: count for name, count in paper.items() if name not in changed
    }


def test_an_evening_needs_no_colbert_index(tmp_path):
    plan = planned(tmp_path, "ecir2025", "msmarco-evening")
    assert plan["finetune"] == 4 and plan["rerank"] == 5 * 4 and plan["download"] == 3
    assert not {"colbert_encode", "plaid_index", "plaid_search"} & plan.keys()


def test_beir_is_evaluated_with_the_papers_models(tmp_path):
    plan = planned(tmp_path, "ecir2025", "beir")
    assert plan["bm25_index"] == plan["bm25_search"] == plan["evaluate"] == 7
    assert plan["finetune"] == 8 and plan["rerank"] == 2 * 5 * 7


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which the paper's experiment has run to its end, and what its servers were asked for."""
    folder = tmp_path_factory.mktemp("paper")
    made = folder / "made"
    names = write_paper(made)
    pinned = {name: commit_of(made / "hub" / model) for name, model in PINNED.items()}
    with file_server(made / "web") as web, file_server(made / "hub", HubHandler) as hub:
        environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hub-cache"), "HF_HUB_DISABLE_XET": "1"}
        environment |= {"IR_DATASETS_HOME": str(made / "ir_datasets")}
        sources = {source: f"{web.url}/{name}" for source, name in names.items()}
        small = folder / "small.yaml"
        small.write_text(yaml.safe_dump(small_config(sources, pinned)))
        ended = snakemake(folder / "work", configs=[PAPER, small], environment=environment)
        succeed(ended)
        again = snakemake(folder / "work", "--dry-run", configs=[PAPER, small], environment=environment)
        assert again.returncode == 0 and "Nothing to be done" in again.stdout + again.stderr
    return folder / "work" / "results"


def test_every_number_of_the_grid_stands_beside_the_papers(finished):
    table = pd.read_csv(finished / "ecir2025" / "tables" / "published.csv", keep_default_na=False)
    assert len(table) == 2 * (1 + 1) * 6
    assert set(table["benchmark"]) == {"dl19"} and set(table["backbone"]) == {"", "electra"}
    assert (table["gap"] - (table["mean"] - table["published"])).abs().max() < 1e-5
    assert table["mean"].between(0, 1).all() and table["mean"].nunique() > 5
    first = table[(table["recipe"] == "first-stage") & (table["measure"] == "R@100")].set_index("retriever")
    assert first["mean"]["bm25"] > 0.2
    markdown = (finished / "ecir2025" / "tables" / "published.md").read_text()
    assert "### dl19, nDCG@10 (4 queries)" in markdown and "| colbert | electra kd→cl |" in markdown


def test_models_say_what_they_were_trained_on(finished):
    models = finished / "ecir2025" / "models"
    record = json.loads((models / "electra" / "kd-cl" / "seed42" / "training.json").read_text())
    assert record["parent"] == "results/ecir2025/models/electra/kd/seed42"
    assert record["objective"]["learning_rate"] == 1e-5 and record["objective"]["steps"] == 4
    assert record["backbone"]["frozen"] == ["position_embeddings"]
    card = ModelCard.load(models / "electra" / "kd-cl" / "seed42" / "README.md")
    assert "colbert-train-run" in card.data.datasets and "rankgpt-permutations" in card.data.datasets
    assert "MS MARCO, non-commercial research only (Microsoft)" in card.text and "1e-05 | 1e-05" in card.text
    assert card.data.base_model == "google/electra-base-discriminator" and card.data.license == "apache-2.0"
    source = json.loads((finished / "checkpoints" / "electra-base" / "source.json").read_text())
    assert source["hub"] == "google/electra-base-discriminator" and source["commit"] == source["revision"]


def test_what_was_left_out_is_counted(finished):
    log = (finished / "logs" / "read_permutations" / "rankgpt" / "msmarco-train.log").read_text()
    assert "1 permutations left out: they are refusals" in log
    assert re.search(r"[1-9] permutations left out: they are malformed", log)
