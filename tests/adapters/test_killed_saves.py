"""A save that is killed leaves the old version or the new one, whole."""

from __future__ import annotations

import inspect
import os
import signal
import sys
from pathlib import Path

import pytest
import torch

from monai_lora_sam.adapters import AdapterStack, list_adapters, load_extra, store, verify_folder
from monai_lora_sam.files import atomic_folder

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes by POSIX signals")

ATOMIC = inspect.getsourcefile(inspect.unwrap(atomic_folder)) or ""
STORE = str(Path(store.__file__))


def content(root: Path) -> dict[Path, bytes]:
    """Return the files below a folder with what is in them, and the folders."""
    return {path: path.read_bytes() if path.is_file() else b"" for path in root.rglob("*")}


def run_and_kill_after(change: int, root: Path, files: set[str], action) -> bool:
    """Run ``action`` in a child that kills itself with SIGKILL before a line in these files: the first one after the
    n-th change of what is below ``root``. A kill at a line before which nothing changed would leave the same.

    Returns whether it was killed; False means that the action made fewer changes and ended.
    """
    child = os.fork()
    if child == 0:
        count, last = 0, content(root)

        def trace(frame, event, _):
            nonlocal count, last
            if frame.f_code.co_filename not in files:
                return None
            if event == "line" and (now := content(root)) != last:
                count, last = count + 1, now
                if count == change:
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
def test_killed_after_any_change_of_a_save_one_version_is_whole(
    make_encoder, tmp_path, monkeypatch, system, files
):
    """SIGKILL wherever a line of the store has changed the disk: there is always one whole version to load."""
    if system == "two renames":
        monkeypatch.setattr("monai_lora_sam.files.atomic._exchange", lambda first, second: False)
    stack = AdapterStack(make_encoder())
    stack.add("vessels", r=1, layers=1)
    folder = tmp_path / "vessels"

    def save(version: int) -> None:
        stack.save(
            "vessels", folder, card={"version": version}, extra={"head": {"x": torch.full((2,), version)}}
        )

    save(0)
    change = version = last = 0
    killed = True
    while killed:
        change += 1
        version += 1
        killed = run_and_kill_after(change, tmp_path, files, lambda: save(version))  # noqa: B023  (run before the next)
        if system == "exchange":
            assert folder.is_dir(), f"change {change}: nothing under the name itself"
        found = verify_folder(folder)["version"]
        assert found in (last, version), f"change {change}"
        assert load_extra(folder, "head")["x"].tolist() == [found, found]
        last = found
    assert change > 5 and found == version
    save(version + 1)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"vessels"}, "what killed runs left was not cleared away"


def test_killed_between_the_two_renames_every_reader_finds_it_and_the_next_writer_puts_it_back(
    make_encoder, tmp_path, monkeypatch
):
    monkeypatch.setattr("monai_lora_sam.files.atomic._exchange", lambda first, second: False)
    stack = AdapterStack(make_encoder())
    stack.add("vessels", r=1, layers=1)
    folder = tmp_path / "vessels"
    stack.save("vessels", folder)

    def killed() -> None:
        monkeypatch.setattr("monai_lora_sam.files.atomic.os.rename", one_rename)
        stack.save("vessels", folder)

    renamed = os.rename

    def one_rename(old, new) -> None:
        renamed(old, new)
        os.kill(os.getpid(), signal.SIGKILL)

    assert run_and_kill_after(0, tmp_path, set(), killed)
    left = sorted(path.name for path in tmp_path.rglob("*"))
    assert not folder.exists()
    assert verify_folder(folder)["name"] == AdapterStack(make_encoder()).load(folder) == "vessels"
    assert [card["name"] for card in list_adapters(tmp_path)] == ["vessels"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == left, "readers change nothing"
    stack.save("vessels", folder)
    assert [path.name for path in tmp_path.iterdir()] == ["vessels"]
