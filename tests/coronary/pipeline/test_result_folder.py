"""Folders of results that belong to one image each."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from monai_lora_sam.coronary.pipeline.result_folder import (
    ResultFolders,
    file_hashes,
    folder_name,
    whole_report,
)
from monai_lora_sam.coronary.report import SCHEMA


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("...png", "...png"[3:]),
        ("..", "image"),
        (".", "image"),
        ("", "image"),
        ("../up", "_up"),
        ("a/b\\c:d", "a_b_c_d"),
        ("CON", "_CON"),
        ("nul.x", "_nul.x"),
        ("trailing. ", "trailing"),
        ("x" * 300, "x" * 100),
        (os.fsdecode(b"art\xe8re"), "art_re"),
        (
            "artère [/x] <b> & =1",
            "artère [/x] <b> & =1".replace("/", "_").replace("<", "_").replace(">", "_"),
        ),
    ],
)
def test_names_are_safe_on_every_system(text: str, name: str) -> None:
    assert folder_name(text) == name


def write(folder: Path, path: Path, content: str) -> None:
    folder.mkdir(parents=True)
    (folder / "vessels.png").write_bytes(b"mask")
    run = {"image": content, "source": str(path), "files": file_hashes(folder)}
    (folder / "report.json").write_text(json.dumps({"schema": SCHEMA, "run": run}))


def claim(out: Path, path: Path, content: str) -> str:
    name = ResultFolders(out).claim(path, content)
    if not (out / name).exists():
        write(out / name, path, content)
    return name


def test_no_image_gets_the_folder_of_another(tmp_path: Path) -> None:
    first, second = (tmp_path / f"patient{number}" / "IM0001.png" for number in (1, 2))
    for path in (first, second):
        path.parent.mkdir()
        path.touch()
    out = tmp_path / "out"
    assert claim(out, first, "aa") == "IM0001"
    assert claim(out, second, "bb") == "IM0001_png"
    assert claim(out, second, "aa") == "patient2_IM0001"  # a copy at another place
    assert claim(out, first, "cc") == "patient1_IM0001"  # another picture at the same place
    assert claim(out, second, "dd") == "patient2_IM0001_2"
    # The second time each gets its own again, in whatever order.
    together = ResultFolders(out)
    asked = [(second, "dd"), (first, "cc"), (second, "bb"), (first, "aa"), (second, "aa")]
    assert [together.claim(*one) for one in asked] == [
        "patient2_IM0001_2",
        "patient1_IM0001",
        "IM0001_png",
        "IM0001",
        "patient2_IM0001",
    ]


def test_a_moved_image_keeps_its_folder_and_other_folders_stay(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out / "a", tmp_path / "gone" / "a.png", "aa")
    assert claim(out, tmp_path / "here" / "a.png", "aa") == "a"
    (out / "b").mkdir()  # of the user
    assert claim(out, tmp_path / "b.png", "bb") == "b_png"
    write(out / "Frame", tmp_path / "gone" / "Frame.png", "ff")
    names = ResultFolders(out)
    assert len({names.claim(tmp_path / name, name).lower() for name in ("x.png", "X.png", "x.PNG")}) == 3


def test_results_with_a_file_changed_or_missing_are_not_whole(tmp_path: Path) -> None:
    write(tmp_path / "a", tmp_path / "a.png", "aa")
    assert whole_report(tmp_path / "a") is not None
    (tmp_path / "a" / ".DS_Store").touch()
    assert whole_report(tmp_path / "a") is not None
    (tmp_path / "a" / "vessels.png").write_bytes(b"of another")
    assert whole_report(tmp_path / "a") is None
    (tmp_path / "a" / "vessels.png").unlink()
    assert whole_report(tmp_path / "a") is None
    for text in ("half a rep", "[" * 100_000, '{"schema": "monai-lora-sam/report/1"}', "[]"):
        (tmp_path / "a" / "report.json").write_text(text)
        assert whole_report(tmp_path / "a") is None
