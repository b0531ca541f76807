"""The page that says how far a run is, from a real run's logs."""

import subprocess
import sys

from multistage.jobs.run_log import page, read_run_log
from workflow_runs import snakemake

PROGRESS = "2026-11-24 14:13:33,528 42 of 400 steps, 8.3/s, 0:00:43 left, loss 0.8878, 133 pairs/s"
BEGUN = """\
total                    9

[Tue Nov 24 14:18:52 2026]
localrule fetch_checkpoint:
    output: results/checkpoints/minilm
    jobid: 11
    reason: Missing output files: results/checkpoints/minilm
    wildcards: checkpoint=minilm
[Tue Nov 24 14:18:54 2026] Group job queries (jobs in lexicogr. order):
    [Tue Nov 24 14:18:54 2026]
    rule prepare_queries:
        jobid: 7
        wildcards: queryset=wikipedia-test
[Tue Nov 24 14:18:55 2026]
rule bm25_index:
    jobid: 12
    wildcards: collection=wikipedia
[Tue Nov 24 14:18:55 2026]
rule finetune:
    jobid: 13
[Tue Nov 24 14:18:55 2026]
rule rerank:
    jobid: 14
    wildcards: recipe=cl, benchmark=dl19
    threads: 2
[Tue Nov 24 14:18:55 2026]
rule rerank:
    jobid: 15
    wildcards: recipe=cl, benchmark=dl20
Job 13 has been submitted with SLURM jobid 3 (log: /w/.snakemake/slurm_logs/rule_finetune/tiny_cl_42/3.log).
Submitted array job with Snakemake IDs 14,15 and SLURM job ID 4. The individual task IDs are 1-2.
Finished jobid: 11 (Rule: fetch_checkpoint)
1 of 9 steps (11%) done
[Tue Nov 24 14:19:54 2026]
Error in rule finetune:
    message: SLURM sbatch failed. The error message was 'sbatch: error: Invalid qos
sbatch: error: Batch job submission failed: Invalid qos specification'.
    sbatch call:
        sbatch --parsable --wrap="python -m snakemake"
For further error details see the cluster/cloud log and the log files of the involved rule(s).
    jobid: 16
    log: results/tiny.log (check log file(s) for error details)
Logfile results/tiny.log:
==================
Error in rule rerank:
==================
Trying to restart job 16.
[Tue Nov 24 14:20:54 2026]
    message: Error in group queries
    log: /w/.snakemake/slurm_logs/group_queries/5.log (check log file(s) for error details)
    jobs:
        rule prepare_queries:
            jobid: 7
    [Tue Nov 24 14:20:54 2026]
    Error in rule prepare_queries:
        jobid: 7
"""


def test_what_has_begun_and_not_ended():
    """What Slurm has is not running here; a task of an array is known by its id there, and a group fails as one."""
    run = read_run_log(BEGUN)
    assert (run.done, run.total, run.retried) == (1, 9, 1)
    assert run.running == {"12": "bm25_index collection=wikipedia"}
    assert run.arrays == {"4_1": "rerank recipe=cl, benchmark=dl19", "4_2": "rerank recipe=cl, benchmark=dl20"}
    assert [failure.rule for failure in run.failures] == ["finetune", "queries"]
    assert run.failures[0].logs == ["results/tiny.log"] and "Invalid qos" in run.failures[0].reason
    assert run.failures[1].logs == ["/w/.snakemake/slurm_logs/group_queries/5.log"]


def test_a_queue_that_does_not_answer(tmp_path, monkeypatch):
    log = tmp_path / ".snakemake" / "log" / "2026.snakemake.log"
    log.parent.mkdir(parents=True)
    log.write_text(BEGUN)
    (tmp_path / "squeue").write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2; exit 1\n")
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    shown = page(tmp_path)
    assert "in Slurm: not known\n  squeue --me" in shown and "Unable to contact slurm controller" in shown


def test_a_real_run_that_fails(tmp_path):
    """Its failures name their rule and log; a log that Snakemake has copied into its own is not read as its own."""
    assert page(tmp_path) == f"{tmp_path}: Snakemake has not run here."
    config = tmp_path / "sources.yaml"
    config.write_text("sources: {wiki-offline: {package: no-such-package-here==0.0.1}}\n")
    ended = snakemake(tmp_path, "results/sources/wiki-offline.whl", configs=[config], environment={"PIP_NO_INDEX": "1"})
    assert ended.returncode != 0
    stage = tmp_path / "results" / "slice" / "logs" / "finetune" / "tiny" / "cl" / "seed42.log"
    stage.parent.mkdir(parents=True)
    stage.write_text(PROGRESS + "\n")
    lines = page(tmp_path).splitlines()
    assert lines[0].startswith("0 of 1 jobs done")
    assert any("logs/finetune/tiny/cl/seed42.log: 42 of 400 steps, 8.3/s, 0:00:43 left (0:00:0" in line for line in lines)
    assert lines[-2] == "failed (1), tried again (0)"
    assert lines[-1].strip().startswith("fetch_package: ") and lines[-1].endswith("results/logs/fetch_package/wiki-offline.log")
    script = [sys.executable, "-m", "multistage", "watch", "--directory", tmp_path]
    shown = subprocess.run([str(part) for part in script], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[0] == lines[0]
