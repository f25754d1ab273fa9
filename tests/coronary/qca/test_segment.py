"""Segments of a drawn vessel whose diameters are known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from monai_lora_sam.coronary.anatomy import SyntaxSegment, arcade_id
from monai_lora_sam.coronary.qca import measure

PROXIMAL, MIDDLE = (arcade_id(SyntaxSegment(name)) for name in ("6", "7"))


def narrowed_vessel() -> np.ndarray:
    """Return a mask (60, 320) of a vessel, 12 px wide, narrowed to 6 px around column 220."""
    rows, columns = np.mgrid[:60, :320].astype(float)
    bump = np.cos(np.clip((columns - 220) / 25, -1, 1) * np.pi / 2) ** 2
    return (np.abs(rows - 29.5) <= 6 - 3 * bump) & (columns >= 10) & (columns < 310)


def test_each_segment_has_its_own_figures():
    mask = narrowed_vessel()
    labels = np.where(np.arange(320) < 150, PROXIMAL, MIDDLE)[None] * mask
    result = measure(mask, segments=labels.astype(np.uint8), pixel_spacing_mm=0.25)
    proximal, middle = result.segments
    assert [proximal.segment_id, middle.segment_id] == [PROXIMAL, MIDDLE]
    assert proximal.name.startswith("6 ") and middle.name.startswith("7 ")
    assert proximal.median_diameter_px == pytest.approx(12, abs=0.3)
    assert proximal.extent.percent_diameter_stenosis == pytest.approx(0, abs=4)
    assert proximal.extent.length_px == pytest.approx(134, abs=4)  # from a radius behind the end
    (lesion,) = result.lesions
    assert middle.lesion_ids == (lesion.id,) and proximal.lesion_ids == ()
    assert middle.extent.minimum_lumen_diameter_px == lesion.minimum_lumen_diameter_px
    row = middle.to_json(0.25)
    json.dumps(row, allow_nan=False)
    assert row["name"] == middle.name and row["lesions"] == [lesion.id]
    assert row["proximal_diameter_mm"] == pytest.approx(3, abs=0.15)


def test_without_labels_the_vessel_is_one_segment():
    (segment,) = measure(narrowed_vessel()).segments
    assert segment.segment_id == 0 and segment.name == "vessel 1"


def test_a_label_of_few_pixels_is_no_segment():
    mask = narrowed_vessel()
    labels = np.where(mask, PROXIMAL, 0)
    labels[:, 100:104] = np.where(mask[:, 100:104], MIDDLE, 0)
    found = measure(mask, segments=labels.astype(np.uint8)).segments
    assert [segment.segment_id for segment in found] == [PROXIMAL]


def test_a_segment_wider_than_its_reference_has_no_stenosis():
    rows, _ = np.mgrid[:60, :200]
    (segment,) = measure(np.abs(rows - 29.5) < 6, pixel_spacing_mm=0.3).segments
    wide = replace(segment, extent=replace(segment.extent, minimum_lumen_diameter_px=13.0))
    row = wide.to_json(0.3)
    assert row["percent_diameter_stenosis"] == row["percent_area_stenosis"] == 0
    assert row["mld_px"] == 13
