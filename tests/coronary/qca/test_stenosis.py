"""The borders of a stenosis where the reference line does not fit the vessel beside it."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.qca import measure
from monai_lora_sam.coronary.qca.profile import VesselProfile
from monai_lora_sam.coronary.qca.stenosis import find_stenoses

STEP, COUNT = 0.5, 600


def profile_of(diameter: np.ndarray, reference: np.ndarray) -> VesselProfile:
    """Take a measured straight vessel and put other diameters on it."""
    mask = np.zeros((40, 340), bool)
    mask[15:25, 10:330] = True
    (profile,) = measure(mask).profiles
    profile = profile.part(10, 10 + COUNT, profile.start, profile.end)
    values = {"diameter_px": diameter, "smoothed_px": diameter, "reference_px": reference}
    whole = {"is_measured": np.full(COUNT, True), "direction_known": True}
    return type(profile)(**{**profile.__dict__, **values, **whole})


@pytest.mark.parametrize("beside", [1.0, 0.86, 1.1])
def test_borders_are_where_the_narrowing_begins_although_the_reference_is_off(beside: float):
    """Half-cosine flanks of 15 px and a floor of 10 px, on a vessel that is `beside` times its reference."""
    at = np.arange(COUNT) * STEP
    flank = np.clip((np.abs(at - 150) - 5) / 15, 0, 1)
    healthy = np.where(np.abs(at - 150) < 60, beside, 1.0) * 12
    diameter = healthy * (1 - 0.5 * 0.5 * (1 + np.cos(np.pi * flank)))
    (stenosis,) = find_stenoses(profile_of(diameter, np.full(COUNT, 12.0)))
    length = (stenosis.end - stenosis.begin) * STEP
    assert length == pytest.approx(40, abs=3)
    assert at[stenosis.minimum] == pytest.approx(150, abs=5)
    assert stenosis.minimum_lumen_diameter_px == pytest.approx(6 * beside, abs=0.2)
