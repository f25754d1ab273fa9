"""Labels of pixels without anatomy, and checks of the probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.vessel_tree import label_pixels

MASK = np.array([[True, True, False]])


def probability(*most_probable):
    values = np.full((26, 1, 3), 0.01)
    for column, number in enumerate(most_probable):
        values[number, 0, column] = 0.75
    return values


def test_each_vessel_pixel_gets_its_most_probable_class():
    labels = label_pixels(probability(5, 25, 7), MASK)
    assert labels.dtype == np.uint8 and labels.tolist() == [[5, 25, 0]]


@pytest.mark.parametrize(
    ("values", "mask", "error", "message"),
    [
        (probability(1), MASK.astype(int), TypeError, "bool array"),
        (probability(1).astype(int), MASK, TypeError, "floating-point"),
        (probability(1)[:25], MASK, ValueError, r"shape \(26, 1, 3\), found \(25, 1, 3\)"),
        (probability(1) * np.nan, MASK, ValueError, "from 0 to 1, found values from nan"),
        (probability(1) * 2, MASK, ValueError, "from 0 to 1"),
    ],
)
def test_other_input_is_refused(values, mask, error, message):
    with pytest.raises(error, match=message):
        label_pixels(values, mask)
