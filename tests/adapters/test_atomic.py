from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from monai_lora_sam.adapters import (
    AdapterStack,
    atomic,
    atomic_folder,
    list_adapters,
    load_extra,
    verify_folder,
)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes by POSIX signals")

ATOMIC = str(Path(atomic.__file__))
STORE = str(Path(atomic.__file__).with_name("store.py"))


def run_and_kill_at(line: int, files: set[str], action) -> bool:
    """Run ``action`` in a child process that kills itself with SIGKILL before its n-th line in these files.

    Returns whether it was killed; False means that the action had fewer lines and ended.
    """
    child = os.fork()
    if child == 0:
        count = 0

        def trace(frame, event, _):
            nonlocal count
            if frame.f_code.co_filename not in files:
                return None
            if event == "line":
                count += 1
                if count == line:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        torch.set_num_threads(1)
        sys.settrace(trace)
        try:
            action()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


@pytest.mark.parametrize(("system", "files"), [("exchange", {ATOMIC, STORE}), ("two renames", {ATOMIC})])
def test_killed_at_any_line_of_a_save_one_version_is_whole(
    make_encoder, tmp_path, monkeypatch, system, files
):
    """SIGKILL before every single line that the store runs: there is always one whole version to load."""
    if system == "two renames":
        monkeypatch.setattr(atomic, "_exchange", lambda first, second: False)
    stack = AdapterStack(make_encoder())
    stack.add("vessels", r=1, layers=1)
    folder = tmp_path / "vessels"

    def save(version: int) -> None:
        stack.save(
            "vessels", folder, card={"version": version}, extra={"head": {"x": torch.full((2,), version)}}
        )

    save(0)
    line = version = last = 0
    killed = True
    while killed:
        line += 1
        version += 1
        killed = run_and_kill_at(line, files, lambda: save(version))  # noqa: B023  (run before the next round)
        if system == "exchange":
            assert folder.is_dir(), f"line {line}: nothing under the name itself"
        found = verify_folder(folder)["version"]
        assert found in (last, version), f"line {line}"
        assert load_extra(folder, "head")["x"].tolist() == [found, found]
        last = found
    assert line > 50 and found == version
    save(version + 1)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"vessels"}, "what killed runs left was not cleared away"


def test_killed_between_the_two_renames_is_recovered_by_every_reader(make_encoder, tmp_path):
    stack = AdapterStack(make_encoder())
    stack.add("vessels", r=1, layers=1)
    stack.save("vessels", tmp_path / "vessels")
    for read in (
        lambda: verify_folder(tmp_path / "vessels"),
        lambda: AdapterStack(make_encoder()).load(tmp_path / "vessels"),
        lambda: (
            [card["name"] for card in list_adapters(tmp_path)] == ["vessels"] or pytest.fail("not listed")
        ),
        lambda: stack.save("vessels", tmp_path / "vessels"),
    ):
        (tmp_path / "vessels").rename(tmp_path / ".vessels.previous")
        read()
        assert [path.name for path in tmp_path.iterdir()] == ["vessels"]


WRITER = """
import sys
from monai_lora_sam.adapters.atomic import atomic_folder
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
        code = WRITER.replace("monai_lora_sam.adapters.atomic", "atomic")
        environment = {**os.environ, "PYTHONPATH": str(Path(atomic.__file__).parent)}
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
