"""The benchmarks run: here at a small size, on a CPU, without looking at the clock."""

import re
import subprocess
import sys

import pytest

GPU = "gpu --device cpu --layers 1 --width 64 --queries 4 --depth 4 --matrix 64 --runs 1 --tokens-kept 100"
OURS = r"(?s)CPU, torch .* TFLOP/s.*ours +[\d.]+ pairs/s.*CrossEncoderTrainer.* ours is.*share of the matrix rate: [\d.]+%"
DATA_PATH = "data_path --queries 50 --depth 20 --passages 1000 --group-size 10 --steps 10"
READ = r"(?s)1,000 candidate rows, 1,000 passages.*step 10: [\d,]+ groups/s; -?[\d.]+ MB of its own"


@pytest.mark.parametrize(("command", "said"), [(GPU, OURS), (DATA_PATH, READ)], ids=["gpu", "data_path"])
def test_it_runs_at_a_small_size(command, said):
    command = [sys.executable, "-m", *f"benchmarks.{command}".split()]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stderr
    assert re.search(said, ended.stdout), ended.stdout
