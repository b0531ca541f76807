"""The slice on a real Slurm cluster, through `--profile slurm`: the bytes of a local run, a GPU for each job with a model."""

import re
import time
from types import SimpleNamespace

import pytest
import yaml
from snakemake_executor_plugin_slurm.partitions import get_best_partition, read_partition_file

from repository import REPOSITORY
from workflow_runs import SLICE, SlurmRun

pytestmark = pytest.mark.xdist_group("slurm")
GPUS = 2
# What a table says of a system beside others, of which this run has fewer.
MARKS = r"\*\*| ?[▲▼↑↓≈]+"
ON_A_GPU = {"finetune", "rerank", "colbert_shard", "dense_shard", "teacher_rank"}


@pytest.fixture(scope="module")
def run(cluster, tmp_path_factory, index):
    """One recipe of two stages, from fetch to table, on two of the nodes; with all that was seen in the queue meanwhile."""
    folder = tmp_path_factory.mktemp("slurm")
    config = folder / "recipe.yaml"
    config.write_text(yaml.safe_dump({"grid": {"recipes": ["cl-kd"]}}))
    others = ",".join(cluster.names[GPUS:])
    cluster.run("scontrol", "update", f"nodename={others}", "state=drain", "reason=two GPUs")
    running, seen = SlurmRun(cluster, folder / "work", configs=[SLICE, config], environment=index), []
    try:
        while running.process.poll() is None:
            seen.append(cluster.jobs("--me", f"--name={run_id(running)}"))
            time.sleep(0.3)
        running.succeed()
    finally:
        running.kill()
        cluster.run("scontrol", "update", f"nodename={others}", "state=resume")
    return folder / "work", running.text(), seen


def run_id(running):
    """The name that all of a run's jobs have."""
    found = re.search(r"SLURM run ID: (\S+)", running.text())
    return found[1] if found else "none-yet"


def test_every_run_has_the_bytes_of_a_local_one(run, finished):
    folder, _, _ = run
    made = [path.relative_to(folder) for pattern in ("*.run", "*.safetensors", "*.parquet") for path in folder.rglob(pattern)]
    made = [path for path in made if "evaluation" not in path.parts]
    assert len([path for path in made if "reranked" in path.parts]) == 4 and len(made) > 25
    assert [path for path in made if (folder / path).read_bytes() != (finished / path).read_bytes()] == []
    table = (folder / "results" / "slice" / "tables" / "effectiveness.md").read_text().splitlines()
    local = (finished / "results" / "slice" / "tables" / "effectiveness.md").read_text().splitlines()
    rows = [re.sub(MARKS, "", line) for line in table if line.startswith("| colbert | tiny")]
    assert len(rows) == 2 and set(rows) <= {re.sub(MARKS, "", line) for line in local}


def test_jobs_with_a_model_hold_a_gpu_and_no_others(run):
    _, _, seen = run
    jobs = {job["id"]: job for queue in seen for job in queue}
    rule = {number: re.match(r"rule_(.+?)(_wildcards_|$)", job["comment"])[1] for number, job in jobs.items()}
    holding = {rule[number] for number, job in jobs.items() if job["gpus"] == "gres:gpu:1"}
    without = {rule[number] for number, job in jobs.items() if job["gpus"] != "gres:gpu:1"}
    assert {next(name for name in ON_A_GPU if found.startswith(name)) for found in holding} == ON_A_GPU
    assert not any(found.startswith(tuple(ON_A_GPU)) for found in without) and len(without) >= 8
    at_once = [sum(job["state"] == "RUNNING" and job["gpus"] == "gres:gpu:1" for job in queue) for queue in seen]
    assert max(at_once) == GPUS


def test_short_jobs_share_a_submission(run):
    """ColBERT's part is encoded, indexed and searched in one job; a query set is prepared and tokenised in one."""
    _, said, _ = run
    submitted = re.findall(r"has been submitted with SLURM jobid \d+ \(log: .*/slurm_logs/([^/]+)/", said)
    assert submitted.count("group_colbert_shard_colbert_encode_plaid_index_plaid_search") == 1
    assert submitted.count("group_queries_prepare_queries_tokenize") == 3
    assert not {"rule_colbert_encode", "rule_plaid_search", "rule_tabulate", "rule_fetch_package"} & set(submitted)


def test_the_partition_file_sends_each_job_where_it_fits():
    """By the plugin's own choice; a retry, which asks for more time, moves on to the long queue."""
    partitions = read_partition_file(REPOSITORY / "profiles" / "slurm" / "partitions.yaml")
    silent = SimpleNamespace(warning=print, info=print, debug=print)

    def chosen(**resources):
        job = SimpleNamespace(resources=resources, threads=4, name="job", is_group=lambda: False)
        return get_best_partition(partitions, job, silent)

    assert chosen(runtime=120, mem_mb=4000, gpu=0) == "cpu"
    assert chosen(runtime=240, mem_mb=8000, gpu=1) == "gpu-short"
    assert chosen(runtime=480, mem_mb=16000, gpu=1) == "gpu-long"
    assert chosen(runtime=3 * 1440, mem_mb=12000, gpu=4) == "gpu-long"
