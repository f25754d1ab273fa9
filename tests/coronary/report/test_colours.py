"""Colours of segments: far apart to every eye where segments meet."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from monai_lora_sam.coronary.anatomy import SyntaxSegment, arcade_id
from monai_lora_sam.coronary.report.colours import SEGMENT_COLOURS, VESSEL_COLOUR, rgb, segment_colour

# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB.
BLINDNESS = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
# Segments that touch.
NEIGHBOURS = (
    *("1 2", "2 3", "3 4", "3 16", "4 16", "16 16a", "16a 16b", "16b 16c", "5 6", "5 11", "5 12", "6 11"),
    *("6 12", "11 12", "6 7", "7 8", "6 9", "7 9", "9 9a", "7 10", "8 10", "10 10a", "11 12a", "11 13"),
    *("12a 13", "12a 12b", "13 12b", "13 14", "13 15", "14 14a", "14 14b", "14a 14b", "14 15"),
)


def seen(vision: str) -> dict[int, np.ndarray]:
    """Return the CIELAB colours of all segments as an eye sees them."""
    colours = np.array([rgb(colour) for colour in SEGMENT_COLOURS.values()]) / 255
    if vision != "normal":
        linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
        linear = np.clip(linear @ np.array(BLINDNESS[vision]).T, 0, 1)
        colours = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return dict(zip(SEGMENT_COLOURS, rgb2lab(colours[None])[0], strict=True))


def test_every_segment_has_its_own_colour():
    assert sorted(SEGMENT_COLOURS) == sorted(arcade_id(segment) for segment in SyntaxSegment)
    lab = seen("normal")
    assert min(deltaE_ciede2000(lab[a], lab[b]) for a, b in itertools.combinations(lab, 2)) > 11


@pytest.mark.parametrize(
    ("vision", "least"), [("normal", 28), ("protanopia", 15), ("deuteranopia", 15), ("tritanopia", 15)]
)
def test_segments_that_touch_are_told_apart_by_every_eye(vision: str, least: float):
    lab = seen(vision)
    for pair in NEIGHBOURS:
        one, other = (lab[arcade_id(SyntaxSegment(name))] for name in pair.split())
        assert deltaE_ciede2000(one, other) > least, pair


def test_what_is_no_segment_has_the_colour_of_vessels():
    assert segment_colour(26) == segment_colour("6") == segment_colour(None) == VESSEL_COLOUR
