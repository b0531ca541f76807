"""No ordinary accident of a cluster loses work, doubles it or hangs: each on a real Slurm cluster (support/slurm_faults.py)."""

import json
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from multistage.jobs.files import sha256
from multistage.jobs.run_log import read_run_log
from slurm_cluster import started
from slurm_faults import ACCIDENTS, GROUPS, Faults, config, model
from workflow_runs import SLICE, snakemake, succeed


@pytest.fixture(scope="module")
def cluster():
    """Five nodes with a pretend GPU each, without accounting."""
    with started(nodes=5) as running:
        yield running


@pytest.fixture(scope="module")
def faults(cluster, finished, tmp_path_factory):
    """The run with all accidents, and beside it a folder in which nothing has happened."""
    folder = tmp_path_factory.mktemp("faults")
    overlay = folder / "faults.yaml"
    overlay.write_text(yaml.safe_dump(config()))
    for name in ("work", "undisturbed"):
        shutil.copytree(finished, folder / name, symlinks=True)
    run = Faults(cluster, folder / "work", [SLICE, overlay])
    if obstacle := run.mount():
        pytest.skip(f"a full disk is a small tmpfs here: {obstacle}")
    try:
        run.undisturbed = folder / "undisturbed"
        with ThreadPoolExecutor(1) as beside:
            undisturbed = beside.submit(snakemake, run.undisturbed, model("undisturbed"), GROUPS, configs=run.configs)
            run.provoke()
        succeed(undisturbed.result())
        yield run
    finally:
        subprocess.run(["umount", "--lazy", run.disk], capture_output=True)


def record_of(folder, name):
    """A stage's training.json."""
    return json.loads((folder / model(name)).with_name("training.json").read_text())


def failures(faults, name):
    """What Snakemake said of each failure of a stage, in its first life."""
    return [failure.reason for failure in read_run_log(faults.said).failures if f"/tiny/{name}/" in "".join(failure.logs)]


@pytest.mark.parametrize("name", ACCIDENTS)
def test_no_step_is_lost_or_done_twice_or_by_two(faults, name):
    """Weights and record are an undisturbed stage's, pair by pair; nothing that was saved is trained again."""
    assert sha256(faults.folder / model(name)) == sha256(faults.undisturbed / model("undisturbed"))
    record, expected = record_of(faults.folder, name), record_of(faults.undisturbed, "undisturbed")
    assert record["interruptions"] == 1 and expected["interruptions"] == 0
    for key in ("pairs", "tokens", "loss", "validation"):
        assert record[key] == expected[key]
    assert faults.resumed(name) >= faults.saved[name] > 0
    assert [path.name for path in faults.folder.glob(f"results/slice/state/tiny/{name}/*")] in ([], ["seed42.lock"])


@pytest.mark.parametrize(
    ("name", "states"),
    [
        ("cancelled", ["CANCELLED"]),
        ("timed", ["FAILED|TIMEOUT"]),  # TIMEOUT where Slurm's own end comes before the job's
        ("full", ["FAILED"]),
        # Slurm itself starts these again.
        ("requeued", []),
        ("preempted", []),
        ("crashed", []),
        ("lost", []),
        ("orphan", []),
    ],
)
def test_snakemake_says_what_happened(faults, name, states):
    said = failures(faults, name)
    assert len(said) == len(states)
    assert all(re.search(rf"status is: '({state})'", reason) for state, reason in zip(states, said, strict=True))
    jobs = [job for job in faults.cluster.jobs("--states=all") if f"_tiny_{name}_42" in job["comment"]]
    assert len(jobs) == (2 if states or name == "orphan" else 1)
    assert [job["state"] for job in jobs].count("COMPLETED") == 1


def test_a_stage_saves_on_the_warning_before_its_time_limit(faults):
    step = faults.resumed("timed")
    assert step > faults.saved["timed"]
    assert f"stopped on request, with everything saved: run again to resume. SIGTERM came at step {step} of" in faults.said


def test_a_full_disk_is_named(faults):
    assert re.search(r"ERROR: \S+/state/tiny/full/\S+: No space left on device", faults.said)


def test_a_stage_of_a_lost_node_waits_for_the_first_to_end(faults):
    """Which Slurm ends when the node is back."""
    assert "another process is training this stage; waiting for its end" in faults.log("lost")


def test_a_job_that_lacked_memory_is_tried_again_with_more(faults):
    assert sha256(faults.folder / GROUPS) == sha256(faults.undisturbed / GROUPS)
    failed = [failure for failure in read_run_log(faults.said).failures if failure.rule == "training_groups"]
    assert len(failed) == 1
    said = "".join((faults.folder / log).read_text() for log in failed[0].logs)
    assert "Exceeded job memory limit" in said


def test_a_killed_snakemake_takes_its_jobs_over(faults):
    orphan = [job for job in faults.cluster.jobs("--states=all") if "_tiny_orphan_42" in job["comment"]]
    assert sorted(job["state"] for job in orphan) == ["CANCELLED", "COMPLETED"]
    assert "of an earlier run are running in" in faults.unlocked
    # What ended while nobody watched is not made again.
    assert re.search(r"^finetune +1\ntotal +1$", faults.unlocked, re.M)
