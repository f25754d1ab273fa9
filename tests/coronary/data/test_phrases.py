"""Words for ARCADE's segments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES, artery_phrases, segment_phrases
from monai_lora_sam.data import phrase_entries, write_datalist


@pytest.fixture
def datalist(tmp_path: Path) -> Path:
    label = np.zeros((8, 8), np.uint8)
    label[0, :3] = (6, 7, 13)  # ARCADE's 13 is SYNTAX 11, the proximal circumflex
    for name in ("image", "label"):
        Image.fromarray(label).save(tmp_path / f"{name}.png")
    entry = {"image": str(tmp_path / "image.png"), "label": str(tmp_path / "label.png")}
    return write_datalist(
        tmp_path / "datalist.json",
        name="one",
        task="segments",
        class_names=ARCADE_CLASS_NAMES,
        splits={"training": [entry]},
    )


def test_each_class_has_words_of_its_own():
    names = segment_phrases()
    assert sorted(value for values in names.values() for value in values) == list(range(1, 26))
    arteries = artery_phrases()
    assert sorted(value for values in arteries.values() for value in values) == list(range(1, 26))
    assert names["distal left circumflex artery"] == [16] and names["obtuse marginal branch a"] == [15]


def test_arteries_are_united_and_others_absent(datalist: Path):
    (entry,) = phrase_entries(datalist, "training", "artery_phrases")
    assert set(entry["masks"]) == {"left anterior descending artery", "left circumflex artery"}
    assert "right coronary artery" in entry["absent"] and len(entry["absent"]) == 7
    (entry,) = phrase_entries(datalist, "training", "segment_phrases")
    assert "mid left anterior descending artery" in entry["masks"] and len(entry["absent"]) == 22
    with pytest.raises(ValueError, match=r"task: expected one of .*, found 'phrases'|found 'phrases'"):
        phrase_entries(datalist, "training", "phrases")
