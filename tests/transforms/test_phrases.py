"""Masks of phrases as channels, and the phrases that are drawn of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from monai_lora_sam.transforms import DrawPhrasesd, LoadPhraseMasksd

WORDS = ["aorta", "kidney", "liver", "spleen"]


@pytest.fixture
def item(tmp_path: Path) -> dict[str, Any]:
    label = np.zeros((8, 6), np.uint8)
    label[:2], label[4:] = 1, 2
    Image.fromarray(label).save(tmp_path / "label.png")
    Image.fromarray(np.uint8(label > 0) * 255).save(tmp_path / "both.png")
    Image.fromarray(np.uint8(label == 1) * 255).save(tmp_path / "first.png")
    return {
        "image": torch.zeros(3, 8, 6),
        "label": str(tmp_path / "label.png"),
        "masks": {"kidney": [1, 2], "aorta": [2]},
        "absent": ["spleen"],
        "file": "image.png",
    }


def test_values_and_files_become_channels(item: dict[str, Any], tmp_path: Path):
    loaded = LoadPhraseMasksd(WORDS)(item)
    assert loaded["present"].tolist() == [1, 0] and loaded["absent"].tolist() == [3]
    assert loaded["label"].shape == (2, 8, 6) and loaded["label"].sum((1, 2)).tolist() == [36, 24]
    own = {**item, "masks": {"liver": str(tmp_path / "first.png")}}
    del own["label"]
    assert LoadPhraseMasksd(WORDS)(own)["label"].sum() == 12
    none = LoadPhraseMasksd(WORDS)({**item, "masks": {}})
    assert none["label"].shape == (1, 8, 6) and not none["label"].any() and len(none["present"]) == 0


def test_overlaps_of_masks_are_told(item: dict[str, Any], tmp_path: Path):
    masks = {"kidney": str(tmp_path / "both.png"), "aorta": str(tmp_path / "first.png")}
    with pytest.warns(UserWarning, match="image.png: the masks of 'kidney' and 'aorta' overlap in 12 pixels"):
        LoadPhraseMasksd(WORDS)({**item, "masks": masks})


def test_bad_masks_are_named(item: dict[str, Any], tmp_path: Path):
    with pytest.raises(ValueError, match=r"image.png: expected phrases of the vocabulary, found \['lung'\]"):
        LoadPhraseMasksd(WORDS)({**item, "absent": ["lung"]})
    with pytest.raises(ValueError, match=r"label.png: expected 9x9 .* as in image.png, found 8x6"):
        LoadPhraseMasksd(WORDS)({**item, "image": torch.zeros(3, 9, 9)})
    with pytest.raises(ValueError, match=r"label.png: expected 'kidney' in its mask, found an empty one"):
        LoadPhraseMasksd(WORDS)({**item, "masks": {"kidney": [5]}})


def test_two_in_five_drawn_phrases_are_absent(item: dict[str, Any]):
    loaded = LoadPhraseMasksd(WORDS)(item)
    draw = DrawPhrasesd(5)
    draw.set_random_state(0)
    for _ in range(5):
        drawn = draw(loaded)
        assert (
            drawn["present"].sum() == 3
            and drawn["phrase"].shape == (5,)
            and drawn["truth"].shape == (5, 8, 6)
        )
        for phrase, present, truth in zip(drawn["phrase"], drawn["present"], drawn["truth"], strict=True):
            assert int(truth.sum()) == {1: 36, 0: 24, 3: 0}[int(phrase)] and bool(present) == bool(
                truth.any()
            )


def test_all_phrases_come_in_their_order_without_those_that_resizing_lost(item: dict[str, Any]):
    loaded = LoadPhraseMasksd(WORDS)(item)
    assert DrawPhrasesd(None)(loaded)["phrase"].tolist() == [1, 0, 3]
    loaded["label"][0] = 0
    assert DrawPhrasesd(None)(loaded)["phrase"].tolist() == [0, 3]
    assert DrawPhrasesd(1)({**loaded, "absent": torch.tensor([], dtype=torch.long)})["phrase"].tolist() == [0]


def test_nothing_to_ask_for_is_named():
    item = {
        "label": torch.zeros(1, 4, 4),
        "present": torch.tensor([]),
        "absent": torch.tensor([]),
        "file": "a.png",
    }
    with pytest.raises(ValueError, match=r"a.png: expected phrases, found none"):
        DrawPhrasesd(2)(item)
    with pytest.raises(ValueError, match="count: expected 1 or more, found 0"):
        DrawPhrasesd(0)
