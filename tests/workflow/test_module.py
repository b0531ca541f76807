"""The Snakefile as a module of another workflow, whose folder has a space in its name."""

import pytest
import yaml

from repository import REPOSITORY
from workflow_runs import SLICE, jobs, snakemake, succeed

MODULE = """
module multistage:
    snakefile: "{snakefile}"
{config}

use rule * from multistage as multistage_*

rule all:
    default_target: True
    input: rules.multistage_all.input
    output: "mine.txt"
    shell: "touch {{output}}"
"""


@pytest.fixture
def other(tmp_path):
    """A function that writes another workflow, with a link to this one beside it, and runs Snakemake on it."""
    folder = tmp_path / "another workflow"
    folder.mkdir()
    (folder / "reranking").symlink_to(REPOSITORY)

    def run(*arguments, config="", configs=(), environment=None):
        text = MODULE.format(snakefile=folder / "reranking" / "Snakefile", config=config)
        (folder / "Snakefile").write_text(text)
        return snakemake(folder, "--snakefile", folder / "Snakefile", *arguments, configs=configs, environment=environment)

    return run


def test_with_a_config_from_the_other_workflow(other, tmp_path):
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text()) | {"experiment": "theirs"}
    config["grid"] |= {"recipes": ["cl"], "retrievers": ["bm25"]}
    given = tmp_path / "given.yaml"
    given.write_text(yaml.safe_dump({"reranking": config, "theirs": 1}))
    ended = other("--dry-run", config='    config: config["reranking"]', configs=[given])
    counts = jobs(ended)
    assert counts["multistage_finetune"] == 1 and "multistage_colbert_encode" not in counts
    assert "results/theirs/" in ended.stdout and "<experiment>" not in ended.stdout


def test_from_scratch_on_one_core_it_gives_the_same_bytes(other, index, finished, tmp_path):
    succeed(other("results/slice/training/cl.groups.safetensors", "--cores", "1", configs=[SLICE], environment=index))
    folder = tmp_path / "another workflow"
    made = [
        path.relative_to(folder) for end in ("run", "safetensors", "parquet") for path in folder.glob(f"results/**/*.{end}")
    ]
    assert len(made) == 5 and [path for path in made if (folder / path).read_bytes() != (finished / path).read_bytes()] == []
