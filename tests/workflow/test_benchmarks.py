"""The benchmarks run: here at a small size, on a CPU, without looking at the clock."""

import os
import re
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement

GPU = "gpu --device cpu --layers 2 --width 64 --queries 4 --depth 4 --matrix 64"
OURS = r"(?s)CPU, torch .* TFLOP/s.*the config's budgets \| [\d,.]+ .*\| 65,536 tokens, packed \|.*"
TRAINER = r"CrossEncoderTrainer.* \| [\d.]+ × \|.*"
PREDICT = r"CrossEncoder.predict, batches of 64 .* \| [\d.]+ × \|"
DATA_PATH = "data_path --queries 50 --depth 20 --passages 1000 --group-size 10 --steps 10"
READ = r"(?s)1,000 candidate rows, 1,000 passages.*step 10: [\d,]+ groups/s; -?[\d.]+ MB of its own"
BARE = ("torch", "transformers", "sentence-transformers")


def link_packages(names, folder):
    """A folder of these packages and of all that they require, and nothing else."""
    wanted, found = list(names), set()
    while wanted:
        name = wanted.pop()
        with suppress(PackageNotFoundError):  # of other systems
            package = distribution(name)
            needed = map(Requirement, package.requires or [])
            needed = {one.name for one in needed if not one.marker or one.marker.evaluate({"extra": ""})}
            wanted += needed - found
            found |= needed
            for part in {file.parts[0] for file in package.files} - {"..", "__pycache__"}:
                with suppress(FileExistsError):
                    (folder / part).symlink_to(package.locate_file(part))


@pytest.mark.parametrize(
    ("command", "bare", "said"),
    [(GPU, False, OURS + TRAINER + PREDICT), (GPU, True, f"{OURS}{PREDICT}"), (DATA_PATH, False, READ)],
    ids=["gpu", "gpu, bare", "data_path"],
)
def test_it_runs_at_a_small_size(command, bare, said, tmp_path):
    """Where bare, with no other packages than PyTorch, transformers and sentence-transformers."""
    if bare:
        link_packages(BARE, tmp_path)
        assert not (tmp_path / "polars").exists()
    command = [sys.executable, *(["-S"] if bare else []), "-m", *f"benchmarks.{command}".split()]
    paths = {"PYTHONPATH": str(tmp_path)} if bare else {}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, env=os.environ | paths)
    assert ended.returncode == 0, ended.stderr
    assert re.search(said, ended.stdout), ended.stdout
