"""What people share: expensive targets between checkouts through `--cache`, and files that a group can read."""

import os
import shutil
import stat

import pytest
from safetensors.numpy import save_file

from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing, sha256
from workflow_runs import snakemake, succeed

MODEL = "results/slice/models/tiny/cl/seed42/model.safetensors"
INDEX = "results/indexes/bm25/wikipedia"
STORE = "results/tokens/bert-tiny/wikipedia/passages.ids.npy"
RUN = "results/slice/reranked/tiny/cl/seed42/bm25/wikipedia-test.run"
CACHED = ["finetune", "bm25_index", "tokenize"]


def fetch(folder, cache, *more):
    """Make a model, then an index and a token store, with the cache; what Snakemake said."""
    said = ""
    for removed, targets in (([MODEL, RUN], [MODEL, *more]), ([STORE, f"{INDEX}/files"], [STORE, INDEX])):
        for path in removed:
            shutil.rmtree((folder / path).parent)
        ended = snakemake(folder, *targets, "--cache", *CACHED, environment={"SNAKEMAKE_OUTPUT_CACHE": str(cache)})
        succeed(ended)
        said += ended.stdout + ended.stderr
    return said


def test_expensive_targets_are_shared_between_checkouts(finished, tmp_path):
    """A model from the cache is scored as any other."""
    cache = tmp_path / "cache"
    cache.mkdir()
    first, second = (shutil.copytree(finished, tmp_path / name, symlinks=True) for name in ("first", "second"))
    assert "to cache" in fetch(first, cache)
    entries = sorted(cache.iterdir())
    said = fetch(second, cache, RUN)
    assert "from cache" in said and "to cache" not in said and sorted(cache.iterdir()) == entries
    assert (second / MODEL).resolve().parent == cache
    for path in (MODEL, STORE, RUN):
        assert sha256(finished / path) == sha256(second / path)
    for path in (first / INDEX).iterdir():
        assert sha256(path) == sha256(second / INDEX / path.name)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_files_have_the_mode_that_the_umask_gives(tmp_path, umask, mode):
    """Also those of safetensors, which writes for the owner alone, and those in a folder."""
    import numpy as np

    before = os.umask(umask)
    try:
        with replacing(tmp_path / "made.safetensors", tmp_path / "folder") as (file, folder):
            save_file({"zeros": np.zeros(3)}, file)
            folder.mkdir()
            save_file({"zeros": np.zeros(3)}, folder / "inside.safetensors")
    finally:
        os.umask(before)
    for path in (tmp_path / "made.safetensors", tmp_path / "folder" / "inside.safetensors"):
        assert stat.S_IMODE(path.stat().st_mode) == mode
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == mode | (mode & 0o444) >> 2


def test_of_two_writers_of_a_file_one_fails(tmp_path):
    """As on a node that the scheduler has lost sight of, beside the node where it has started the job again."""
    target = tmp_path / "some.run"
    # The first writer's file, as another process or node would name it.
    with pytest.raises(InputError, match=r"some\.run: No such file"), replacing(target) as (first,):
        first.write_text("first")
        other = first.with_name(first.name.replace(str(os.getpid()), "1"))
        first.rename(other)
        with replacing(target) as (second,):
            assert not other.exists()
            second.write_text("second")
    assert target.read_text() == "second" and [path.name for path in tmp_path.iterdir()] == ["some.run"]
