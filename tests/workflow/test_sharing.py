"""Expensive targets that people share between checkouts through `--cache`."""

import shutil

from multistage.jobs.files import sha256
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
