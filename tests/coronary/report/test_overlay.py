"""The coloured picture with its legend."""

from __future__ import annotations

import numpy as np

from monai_lora_sam.coronary.report.colours import LESION_COLOUR, rgb, segment_colour
from monai_lora_sam.coronary.report.overlay import segment_overlay
from monai_lora_sam.report import pictures


def drawn(lesions=()):
    image = np.full((90, 120), 0.5)
    segments = np.zeros((90, 120), dtype=np.uint8)
    segments[40:48, 10:60], segments[40:48, 60:110] = 6, 7
    vessels = segments > 0
    vessels[70:74, 10:110] = True  # a vessel without a name
    rows = [{"id": 6, "name": "6 LAD proximal", "syntax": "6"}, {"id": 7, "name": "7 LAD mid", "syntax": "7"}]
    return image, vessels, segment_overlay(image, vessels, segments, rows, lesions)


def test_segments_have_their_colours_and_the_rest_is_untouched():
    image, _, picture = drawn()
    for place, number in (((44, 30), 6), ((44, 90), 7)):
        expected = (np.array(rgb(segment_colour(number))) + 128) / 2
        np.testing.assert_allclose(picture[place], expected, atol=1)
    np.testing.assert_array_equal(
        picture[:20, :120], pictures.overlay(image, np.zeros_like(image, bool))[:20]
    )
    assert (picture[69, 50] == 255).all()  # the outline of a vessel without a name


def test_the_legend_lies_beside_the_picture():
    lesions = [
        {"id": 1, "box_xy": [20, 30, 40, 55], "segment": "6 LAD proximal", "percent_diameter_stenosis": 61.0}
    ]
    _, _, picture = drawn(lesions)
    assert picture.shape[0] >= 90 and picture.shape[1] > 240
    legend = picture[:, 120:].reshape(-1, 3)
    for colour in (segment_colour(6), segment_colour(7), LESION_COLOUR):
        assert (legend == rgb(colour)).all(axis=1).any()
    assert (picture[55, 20:41] == rgb(LESION_COLOUR)).all(axis=1).any()


def test_nothing_named_is_all_outline():
    image = np.full((30, 30), 0.5)
    mask = np.zeros((30, 30), bool)
    mask[10:14, 3:27] = True
    picture = segment_overlay(image, mask, np.zeros((30, 30), np.uint8), [])
    np.testing.assert_array_equal(picture[:30, :30], pictures.overlay(image, mask, (255, 255, 255)))
