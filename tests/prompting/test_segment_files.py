"""The same objects in every picture of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.prompting import ObjectPrompt, segment_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for number, size in enumerate([(20, 30), (25, 16)]):
        Image.fromarray(np.full(size, 90 + number, np.uint8)).save(tmp_path / "in" / f"{number}.png")
    (tmp_path / "in" / "2.png").write_bytes(b"no image")
    (tmp_path / "in" / "notes.txt").write_text("not a picture")
    return tmp_path / "in"


def test_bad_pictures_are_told_and_the_others_done(network: Any, folder: Path, tmp_path: Path):
    box = ObjectPrompt("kidney", box=(3, 4, 20, 10))  # wider than the second picture
    found = segment_files(network, folder, [box], tmp_path / "out")
    assert [path.name for path, _ in found] == ["0.png", "1.png", "2.png"]
    assert found[0][1] is None and "kidney" in str(found[1][1]) and "expected" in str(found[2][1])
    mask = np.asarray(Image.open(tmp_path / "out" / "0" / "mask.png"))
    assert mask.shape == (20, 30) and mask.sum() == 255 * 17 * 6
    assert not (tmp_path / "out" / "1").exists()


def test_without_prompts_the_whole_picture_is_the_box(network: Any, folder: Path, tmp_path: Path):
    assert segment_files(network, folder / "1.png", None, tmp_path / "out") == [(folder / "1.png", None)]
    assert (np.asarray(Image.open(tmp_path / "out" / "1" / "mask.png")) == 255).all()
    with pytest.raises(
        FileNotFoundError, match="none: expected a picture or a folder of pictures, found nothing"
    ):
        segment_files(network, tmp_path / "none", None, tmp_path / "out")
