"""Figures of a report as coded measurements."""

from __future__ import annotations

import math

import pytest

from monai_lora_sam.coronary.dicom.measurements import (
    INTERPOLATED,
    LESION_FIGURES,
    MILLIMETRE,
    PERCENT,
    PIXELS,
    values_of,
)


def found(row: dict) -> dict:
    return {value.figure.key: value for value in values_of(row, LESION_FIGURES)}


def test_millimetres_go_before_pixels():
    values = found({"mld_px": 5.0, "mld_mm": 1.0, "length_px": 30.0})
    assert (values["mld"].number, values["mld"].unit) == (1.0, MILLIMETRE)
    assert (values["length"].number, values["length"].unit) == (30.0, PIXELS)
    assert set(values) == {"mld", "length"}


def test_scores_become_percent_and_intervals_come_along():
    row = {"score": 0.25, "mld_mm": 1.0, "mld_mm_interval": [0.8, 1.3]}
    values = found(row)
    assert values["score"].number == 25.0 and values["score"].unit == PERCENT
    assert values["mld"].interval == (0.8, 1.3) and values["score"].interval is None


def test_only_interpolated_references_are_a_method():
    row = {"percent_diameter_stenosis": 60}
    assert found(row)["percent_diameter_stenosis"].figure.method is None
    row["reference_method"] = "interpolated"
    assert found(row)["percent_diameter_stenosis"].figure.method is INTERPOLATED


@pytest.mark.parametrize("number", [math.nan, math.inf, "1", True])
def test_numbers_that_are_not_finite_are_refused(number):
    with pytest.raises(ValueError, match="expected a finite number for mld_mm, found"):
        found({"mld_mm": number})
