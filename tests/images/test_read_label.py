"""Labels are class indices, unchanged."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.images import read_label


@pytest.mark.parametrize(("values", "classes"), [([0, 1], 2), ([0, 255], 2), ([0, 25], 26)])
def test_values_are_classes_or_the_usual_mask(tmp_path, values, classes):
    Image.fromarray(np.array([values, values[::-1]], np.uint8)).save(tmp_path / "a.png")
    label = read_label(tmp_path / "a.png", classes)
    assert label.dtype == np.uint8 and label.tolist() == (
        [[0, 1], [1, 0]] if classes == 2 else [[0, 25], [25, 0]]
    )


def test_other_values_are_named(tmp_path):
    Image.fromarray(np.array([[0, 255, 7]], np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png: expected labels 0\.\.1 or 0/255, found \[7, 255\]"):
        read_label(tmp_path / "a.png", 2)
