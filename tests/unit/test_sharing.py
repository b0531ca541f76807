"""Files that a group shares: their modes, and two who write one of them."""

import os
import stat

import numpy as np
import pytest
from safetensors.numpy import save_file

from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_files_have_the_mode_that_the_umask_gives(tmp_path, umask, mode):
    """Also those of safetensors, which writes for the owner alone, and those in a folder."""
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
