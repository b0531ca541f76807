"""What people share: expensive targets between checkouts through `--cache`, and files that a group can read."""

import os
import shutil
import stat

import pytest
from safetensors.numpy import save_file

from multistage.jobs.files import replacing, sha256
from workflow_runs import snakemake, succeed

MODEL = "results/slice/models/tiny/cl/seed42/model.safetensors"
INDEX = "results/indexes/bm25/wikipedia"
STORE = "results/tokens/bert-tiny/wikipedia/passages.ids.npy"


def checkout(finished, folder):
    """A folder in which the workflow has run but for a model; of an index and a token store only the inputs are there."""
    shutil.copytree(finished, folder, symlinks=True)
    shutil.rmtree((folder / MODEL).parent)
    return folder


def fetch(folder, cache):
    """Make the model, then the index and the token store, with the cache; returns what Snakemake said."""
    said = ""
    environment = {"SNAKEMAKE_OUTPUT_CACHE": str(cache)}
    for targets in ([MODEL], [INDEX, STORE]):
        if targets != [MODEL]:
            shutil.rmtree(folder / INDEX)
            shutil.rmtree((folder / STORE).parent)
        ended = snakemake(folder, *targets, "--cache", "finetune", "bm25_index", "tokenize", environment=environment)
        succeed(ended)
        said += ended.stdout + ended.stderr
    return said


def digests(folder):
    """Of the shared targets' files."""
    paths = [folder / MODEL, folder / STORE, *(folder / INDEX).glob("[!.]*")]
    return {str(path.relative_to(folder)): sha256(path) for path in paths}


def test_expensive_targets_are_shared_between_checkouts(finished, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    first, second = (checkout(finished, tmp_path / name) for name in ("first", "second"))
    assert "to cache" in fetch(first, cache)
    entries = sorted(cache.iterdir())
    made = fetch(second, cache)
    assert "from cache" in made and "to cache" not in made and sorted(cache.iterdir()) == entries
    assert digests(second) == digests(first)
    assert digests(second)[MODEL] == sha256(finished / MODEL)
    assert (second / MODEL).resolve().parent == cache
    # A model from the cache is scored as any other.
    run = "results/slice/reranked/tiny/cl/seed42/bm25/wikipedia-test.run"
    (second / run).unlink()
    succeed(snakemake(second, run, "--cache", "finetune", environment={"SNAKEMAKE_OUTPUT_CACHE": str(cache)}))
    assert sha256(second / run) == sha256(finished / run)


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
    with pytest.raises(FileNotFoundError), replacing(target) as (first,):
        first.write_text("first")
        other = first.with_name(first.name.replace(str(os.getpid()), "1"))
        first.rename(other)
        with replacing(target) as (second,):
            assert not other.exists()
            second.write_text("second")
    assert target.read_text() == "second" and [path.name for path in tmp_path.iterdir()] == ["some.run"]
