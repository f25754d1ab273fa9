"""Splits that share a case or a picture are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_lora_sam.data import check_splits


def _entry(folder: Path, name: str, content: bytes, **more: object) -> dict:
    (folder / name).write_bytes(content)
    return {"image": str(folder / name), **more}


def test_splits_of_their_own_pass(tmp_path: Path) -> None:
    splits = {
        "name": "mine",
        "training": [_entry(tmp_path, f"{i}.png", b"train%d" % i, case_id="A") for i in range(2)],
        "validation": [
            _entry(tmp_path, "v.png", b"other!", case_id=None),
            _entry(tmp_path, "w.png", b"other2"),
        ],
        "test": [_entry(tmp_path, "t.png", b"a third", case_id="C")],
    }
    check_splits(splits)


@pytest.mark.parametrize("held_out", ["validation", "test"])
@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        (("a.png", b"one", {"case_id": 7}), ("b.png", b"two", {"case_id": "7"}), "case_id '7'"),
        (("a.png", b"one", {}), ("a.png", b"one", {}), "image '.*a.png'"),
        (("a.png", b"one", {}), ("b.png", b"one", {}), "content '"),
        (("a.png", b"one", {"pixel_hash": "f"}), ("b.jpg", b"twos", {"pixel_hash": "f"}), "pixel_hash 'f'"),
    ],
)
def test_a_shared_case_or_picture_is_refused(
    tmp_path: Path, held_out: str, first: tuple, second: tuple, shared: str
) -> None:
    entries = [_entry(tmp_path, name, content, **more) for name, content, more in (first, second)]
    with pytest.raises(
        ValueError, match=rf"mine: expected no case .*found 1: training\[0\] and {held_out}\[0\].*{shared}"
    ):
        check_splits({"training": entries[:1], held_out: entries[1:]}, "mine")


def test_the_link_of_a_file_is_the_file(tmp_path: Path) -> None:
    entry = _entry(tmp_path, "a.png", b"one")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    with pytest.raises(ValueError, match="expected no case"):
        check_splits({"training": [entry], "validation": [{"image": str(tmp_path / "b.png")}]})
