from __future__ import annotations

import inspect
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from monai_lora_sam.adapters import store
from monai_lora_sam.files import atomic_folder

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes by POSIX signals")

ATOMIC = inspect.getsourcefile(inspect.unwrap(atomic_folder)) or ""
STORE = str(Path(store.__file__))


WRITER = """
import sys
from monai_lora_sam.files.atomic import atomic_folder
version = 0
while True:
    version += 1
    with atomic_folder(sys.argv[1]) as folder:
        for name in "abc":
            (folder / name).write_text(str(version) * 20000)
    print(version, flush=True)
"""


def test_a_writing_program_killed_at_any_moment_leaves_a_whole_folder(tmp_path):
    folder = tmp_path / "out"
    for pause in (0.0, 0.003, 0.01):
        # The file itself, not the package: this test needs no torch and should start fast.
        code = WRITER.replace("monai_lora_sam.files.atomic", "atomic")
        environment = {**os.environ, "PYTHONPATH": str(Path(ATOMIC).parent)}
        with subprocess.Popen(
            [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True, env=environment
        ) as writer:
            for _ in range(5):
                writer.stdout.readline()
            time.sleep(pause)
            writer.kill()
        contents = {(folder / name).read_text() for name in "abc"}
        assert len(contents) == 1 and len(next(iter(contents))) >= 20000


def test_an_error_inside_the_block_leaves_the_old_folder(tmp_path):
    folder = tmp_path / "new" / "out"
    with atomic_folder(folder) as temporary:
        (temporary / "a").write_text("old")
        assert not folder.exists()
    with pytest.raises(RuntimeError, match="half way"), atomic_folder(folder) as temporary:
        (temporary / "a").write_text("new")
        raise RuntimeError("half way")
    assert (folder / "a").read_text() == "old"
    assert [path.name for path in folder.parent.iterdir()] == ["out"]


def test_a_live_writer_keeps_its_temporary_folder(tmp_path):
    with atomic_folder(tmp_path / "out") as first:
        (first / "a").write_text("first")
        with atomic_folder(tmp_path / "out") as second:
            (second / "a").write_text("second")
        assert (tmp_path / "out" / "a").read_text() == "second"
    assert (tmp_path / "out" / "a").read_text() == "first"


def test_a_file_is_not_replaced_by_a_folder(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(NotADirectoryError, match="expected a folder"), atomic_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "out").read_text() == "mine"


def test_a_linked_folder_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with atomic_folder(tmp_path / "link") as temporary:
        (temporary / "a").write_text("new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "a").read_text() == "new"


def test_folders_follow_the_users_umask(tmp_path):
    old = os.umask(0o022)
    try:
        with atomic_folder(tmp_path / "out"):
            pass
    finally:
        os.umask(old)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755
