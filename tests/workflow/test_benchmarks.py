"""The benchmarks run: here at a small size, on a CPU, without looking at the clock."""

import re
import subprocess
import sys

import pytest

SMALL = {
    "gpu.py": "--device cpu --layers 1 --width 64 --queries 4 --depth 4 --matrix 64 --runs 1 --tokens-kept 100",
    "data_path.py": "--queries 50 --depth 20 --passages 1000 --group-size 10 --steps 10",
}
SAID = {
    "gpu.py": [
        r"CPU, torch .* TFLOP/s",
        r"ours +[\d.]+ pairs/s",
        r"CrossEncoderTrainer.* ours is",
        r"share of the matrix rate: [\d.]+%",
    ],
    "data_path.py": [r"1,000 candidate rows, 1,000 passages", r"step 10: [\d,]+ groups/s; -?[\d.]+ MB of its own"],
}


@pytest.mark.parametrize("script", SMALL)
def test_it_runs_at_a_small_size(script):
    command = [sys.executable, "-m", f"benchmarks.{script.removesuffix('.py')}", *SMALL[script].split()]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stderr
    assert [pattern for pattern in SAID[script] if not re.search(pattern, ended.stdout)] == []
