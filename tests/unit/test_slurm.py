"""What is said to Slurm, and what is made of its answers, with stand-ins for its commands."""

import io
import os
import shutil

import pytest

from multistage.jobs import slurm, slurm_commands
from multistage.jobs.errors import InputError

COMMAND = "--wrap=python -m snakemake --target-jobs {} --allowed-rules x --cores all"
LIMIT = "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy"
DISABLED = "echo 'Slurm accounting storage is disabled' >&2; exit 1"


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Write stand-ins for commands of Slurm, shell scripts."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.chdir(tmp_path)
    (tmp_path / slurm_commands.PLACE).mkdir(parents=True)

    def write(**scripts):
        for name, script in scripts.items():
            (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / "bin" / name).chmod(0o755)

    return write


def ask(*command, snakemake=None):
    """The exit status of a command that the plugin has called."""
    return slurm_commands.main(snakemake or str(os.getpid()), *command)


@pytest.mark.parametrize(
    ("targets", "rest", "name"),
    [
        ("'finetune:backbone=tiny,recipe=cl-kd,seed=42'", "", "finetune:tiny,cl-kd,42"),
        ("validation_set:", "", "validation_set"),
        ("plaid_index:r=colbert,part=0 'plaid_search:r=colbert,q=test,part=0'", "", "plaid_index+plaid_search:colbert,0,test"),
        ("rerank:backbone=tiny,benchmark=dl19", " --array=1-3", "rerank"),
        (f"evaluate:benchmark={'x' * 300}", "", f"evaluate:{'x' * 191}"),
    ],
)
def test_a_job_is_named_after_what_it_makes(targets, rest, name):
    assert slurm_commands.job_name(COMMAND.format(targets) + rest) == name


@pytest.mark.parametrize(
    ("refusal", "snakemake", "attempts"),
    [
        (LIMIT, None, 3),
        ("Batch job submission failed: Unable to contact slurm controller (connect failure)", None, 3),
        ("Batch job submission failed: Invalid qos specification", None, 1),
        (LIMIT, "gone", 1),
    ],
)
def test_a_refusal_that_passes_is_waited_out(cluster, tmp_path, monkeypatch, capsys, refusal, snakemake, attempts):
    """Slurm takes the third attempt here. What would never be taken is told, and what nobody waits for is not submitted."""
    cluster(sbatch=f"echo \"$@\" >> said; [ $(wc -l < said) = 3 ] || {{ echo '{refusal}' >&2; exit 1; }}; echo 7")
    noted = []
    monkeypatch.setattr("time.sleep", lambda _: noted.extend(slurm_commands.refused(tmp_path)))
    code = ask("sbatch", "--job-name", "f81d4fae", COMMAND.format("finetune:seed=42"), snakemake=snakemake)
    assert (tmp_path / "said").read_text().count("--job-name finetune:42 --wrap") == attempts
    assert (code, capsys.readouterr()[:1][0]) == ((0, "7\n") if attempts == 3 else (1, ""))
    left = slurm_commands.refused(tmp_path)
    assert len(noted) == (0 if "qos" in refusal else max(1, attempts - 1)) and len(left) == (attempts == 1)
    assert all(note.startswith("finetune:42: ") and refusal.rpartition(": ")[2] in note for note in [*noted, *left])


KNOWN, QUEUED = "printf '1|CANCELLED by 1000|\\n2|FAILED|\\n3|RUNNING|\\n'", "printf '3|COMPLETED\\n4_2|PENDING\\n'"
PREEMPTED = "printf '1|PREEMPTED|\\n3|PREEMPTED|\\n'"
DOWN = "echo 'Unable to contact slurm controller' >&2; exit 1"


@pytest.mark.parametrize("asked", ["squeue", "sacct"])
@pytest.mark.parametrize(
    ("sacct", "squeue", "states"),
    [
        (KNOWN, QUEUED, {"1": "CANCELLED", "2": "FAILED", "3": "COMPLETED", "4_2": "PENDING"}),
        (KNOWN, DOWN, {"1": "CANCELLED", "2": "FAILED", "3": "RUNNING"}),
        (DISABLED, QUEUED, {"3": "COMPLETED", "4_2": "PENDING"}),
        # The first is not started again; while the controller is away nobody knows.
        (PREEMPTED, QUEUED, {"1": "CANCELLED", "3": "COMPLETED", "4_2": "PENDING"}),
        (PREEMPTED, DOWN, {"1": "PREEMPTED", "3": "PREEMPTED"}),
        (DISABLED, DOWN, None),
    ],
)
def test_jobs_are_known_while_accounting_or_the_controller_knows_them(cluster, capsys, asked, sacct, squeue, states):
    cluster(sacct=sacct, squeue=squeue)
    code = ask(asked, "--noheader", "--name", "f81d4fae")
    assert (code == 0) == (states is not None)
    assert dict(line.split("|")[:2] for line in capsys.readouterr().out.splitlines()) == (states or {})


def test_other_questions_are_passed_on(cluster, capsys):
    cluster(sacct=DISABLED, squeue=QUEUED)
    assert ask("squeue", "--me") == 0 and capsys.readouterr().out.startswith("3|COMPLETED")
    assert ask("sacct", "-j", "1.0", "--format=Reason") == 0 and capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("age", "sacct", "refused"),
    [(300, DISABLED, False), (0, DISABLED, False), (60, "exit 0", False), (60, DISABLED, True), (150, DISABLED, True)],
)
def test_a_cluster_that_forgets_its_jobs_is_refused(cluster, tmp_path, age, sacct, refused):
    cluster(scontrol=f"echo 'MinJobAge               = {age} sec'", squeue="exit 0", sacct=sacct)
    if refused:
        with pytest.raises(InputError, match=rf"forgets a job {age} s after its end .MinJobAge.*is disabled.*MinJobAge=240"):
            slurm.prepare(tmp_path)
    else:
        slurm.prepare(tmp_path)
        for name in ("sbatch", "squeue", "sacct"):
            assert shutil.which(name) == str(tmp_path / slurm_commands.PLACE / name)
