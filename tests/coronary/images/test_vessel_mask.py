"""Vessel masks, and masks that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.coronary.images import read_vessel_mask


def test_an_inverted_mask_is_refused(tmp_path: Path) -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[18:22] = 255
    Image.fromarray(mask).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_vessel_mask(tmp_path / "a.png"), mask > 0)
    Image.fromarray(255 - mask).save(tmp_path / "b.png")
    with pytest.raises(
        ValueError, match=r"b\.png: .*found 90% of the picture marked; is the mask inverted\?"
    ):
        read_vessel_mask(tmp_path / "b.png")
