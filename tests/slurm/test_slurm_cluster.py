"""The slice on a real Slurm cluster, through `--profile slurm`: the bytes of a local run, a GPU for each job with a model.

The cluster has accounting and forgets a job two seconds after its end.
"""

import json
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from snakemake_executor_plugin_slurm.partitions import get_best_partition, read_partition_file

from multistage.jobs.run_log import page
from repository import REPOSITORY
from slurm_cluster import started
from workflow_runs import SLICE, SlurmRun

GPUS = 2
ON_A_GPU = {"finetune", "rerank", "colbert_encode", "dense_encode", "teacher_rank"}


@pytest.fixture(scope="module")
def cluster():
    """Two nodes with a GPU, and one with two that is not in the default partition."""
    with started(nodes=3, gpus=2, accounted=True) as running:
        yield running


@pytest.fixture(scope="module")
def run(cluster, finished, tmp_path_factory, index):
    """The slice, from fetch to table, with what was seen in the queue; beside it a stage of two processes."""
    folder = tmp_path_factory.mktemp("slurm")
    shutil.copytree(finished, folder / "pair", symlinks=True)
    with ThreadPoolExecutor(1) as beside:
        pair = beside.submit(two_processes, cluster, folder / "pair")
        running, seen = SlurmRun(cluster, folder / "work", environment=index), []
        try:
            while running.process.poll() is None:
                seen.append(jobs_of(cluster, folder / "work"))
                time.sleep(0.3)
            running.succeed()
        finally:
            running.kill()
        return SimpleNamespace(folder=folder / "work", said=running.text(), seen=seen, pair=pair.result())


def jobs_of(cluster, folder):
    """The jobs of a working folder that squeue shows."""
    return [job for job in cluster.jobs("--me") if job["folder"] == str(folder)]


def two_processes(cluster, folder):
    """A stage that shares its steps, on an account that may have one job: another is there first, and it is cancelled once."""
    config = folder / "pair.yaml"
    config.write_text(yaml.safe_dump({"objectives": {"pair": {"like": "cl"}}, "training": {"processes": 2}}))
    cluster.run("sacctmgr", "--immediate", "modify", "user", "root", "where", "account=guests", "set", "MaxSubmitJobs=1")
    first = cluster.run("sbatch", "--parsable", "--account=guests", "--output=/dev/null", "--wrap=sleep 600").strip()
    options = ["--set-resources", "finetune:gpu=2", "--default-resources", "slurm_account=guests", "slurm_partition=long"]
    model = "results/slice/models/tiny/pair/seed42/model.safetensors"
    running = SlurmRun(cluster, folder, *options, "--", model, configs=[SLICE, config])
    try:
        cluster.wait(lambda: "not taken by Slurm" in page(folder), "the limit to stand against the stage", 120)
        refused = page(folder)
        cluster.run("scancel", first)
        (job,) = cluster.wait(lambda: jobs_of(cluster, folder), "the stage's job", 60)
        cluster.run("scancel", job["id"])
        running.succeed()
    finally:
        running.kill()
    names = cluster.run("sacct", "--allocations", "--noheader", "--parsable2", "--format=JobName,State", "--account=guests")
    return SimpleNamespace(job=job, refused=refused, said=running.text(), accounted=names, model=folder / model)


def test_a_stage_of_two_processes_has_two_gpus_of_one_node(run):
    megabytes = int(2 * (4000 + 12 * run.pair.model.stat().st_size / 1e6))  # more for larger models
    assert run.pair.job | {"nodes": "1", "cpus": "2", "memory": f"{megabytes}M", "gpus": "gres:gpu:2"} == run.pair.job
    assert json.loads(run.pair.model.with_name("training.json").read_text())["run"]["processes"] == 2


def test_a_limit_on_submissions_is_waited_for(run):
    """No attempt is lost, and `watch` says why nothing happens."""
    assert "not taken by Slurm (1)\n  finetune:tiny,pair,42: AssocMaxSubmitJobLimit; Job violates" in run.pair.refused
    assert "sbatch failed" not in run.pair.said


def test_accounting_says_what_became_of_which_job(run):
    """A job that the controller has forgotten is seen to have been cancelled, and tried again."""
    assert "SLURM status is: 'CANCELLED'" in run.pair.said
    lines = [line.split("|") for line in run.pair.accounted.splitlines()]
    states = [state.split()[0] for name, state in lines if name == "finetune:tiny,pair,42"]
    assert states == ["CANCELLED", "COMPLETED"]


def test_every_run_has_the_bytes_of_a_local_one(run, finished):
    folder = run.folder
    made = [path.relative_to(folder) for pattern in ("*.run", "*.safetensors", "*.parquet") for path in folder.rglob(pattern)]
    made = [path for path in made if "evaluation" not in path.parts]
    made.append(Path("results/slice/tables/effectiveness.md"))
    assert len([path for path in made if "reranked" in path.parts]) == 2 * 3 and len(made) > 25
    assert [path for path in made if (folder / path).read_bytes() != (finished / path).read_bytes()] == []


def test_jobs_with_a_model_hold_a_gpu_and_no_others(run):
    jobs = {job["id"]: job for queue in run.seen for job in queue}
    holding = {job["name"] for job in jobs.values() if job["gpus"] == "gres:gpu:1"}
    without = {job["name"] for job in jobs.values()} - holding
    assert {next(name for name in ON_A_GPU if found.startswith(name)) for found in holding} == ON_A_GPU
    assert not any(found.startswith(tuple(ON_A_GPU)) for found in without) and len(without) >= 8
    at_once = [sum(job["state"] == "RUNNING" and job["gpus"] == "gres:gpu:1" for job in queue) for queue in run.seen]
    assert max(at_once) == GPUS


def test_short_jobs_share_a_submission(run):
    """ColBERT's part is encoded, indexed and searched in one job; a query set is prepared and tokenised in one."""
    submitted = re.findall(r"has been submitted with SLURM jobid \d+ \(log: .*/slurm_logs/([^/]+)/", run.said)
    assert submitted.count("group_colbert_shard_colbert_encode_plaid_index_plaid_search") == 1
    assert submitted.count("group_queries_prepare_queries_tokenize") == 3
    assert not {"rule_colbert_encode", "rule_plaid_search", "rule_tabulate", "rule_fetch_package"} & set(submitted)


def test_the_partition_file_sends_each_job_where_it_fits():
    """By the plugin's own choice; a retry, which asks for more time, moves on to the long queue."""
    partitions = read_partition_file(REPOSITORY / "profiles" / "slurm" / "partitions.yaml")
    silent = SimpleNamespace(warning=print, info=print, debug=print)
    for runtime, megabytes, gpus, expected in (
        (120, 4000, 0, "cpu"),
        (240, 8000, 1, "gpu-short"),
        (480, 16000, 1, "gpu-long"),
        (3 * 1440, 12000, 4, "gpu-long"),
    ):
        resources = {"runtime": runtime, "mem_mb": megabytes, "gpu": gpus}
        job = SimpleNamespace(resources=resources, threads=4, name="job", is_group=lambda: False)
        assert get_best_partition(partitions, job, silent) == expected
