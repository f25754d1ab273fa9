"""One file, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_lora_sam.files import atomic_file, atomic_write


def test_text_and_bytes_are_written_and_folders_are_made(tmp_path: Path):
    atomic_write(tmp_path / "new" / "a.txt", "Größe")
    atomic_write(tmp_path / "new" / "b.bin", b"\x00\x01")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "Größe".encode()
    assert (tmp_path / "new" / "b.bin").read_bytes() == b"\x00\x01"


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "a.txt"
    atomic_write(path, "old")
    with pytest.raises(RuntimeError), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_writers_that_go_by_the_suffix_find_it(tmp_path: Path):
    with atomic_file(tmp_path / "scores.npz") as temporary:
        np.savez(temporary, dice=np.ones(2))
    assert np.load(tmp_path / "scores.npz")["dice"].tolist() == [1.0, 1.0]
    assert [path.name for path in tmp_path.iterdir()] == ["scores.npz"]
