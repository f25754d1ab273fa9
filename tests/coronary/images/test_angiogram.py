"""An angiogram in memory: unknown spacing, view and modality."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from monai_lora_sam.coronary.images import Angiogram


def test_fields_stay_as_given_and_cannot_be_set():
    pixels = np.zeros((4, 5), np.float32)
    angiogram = Angiogram(pixels, 0.2, (30.0, -20.0), "XA", Path("a.dcm"))
    assert angiogram.pixels is pixels and angiogram.pixel_spacing_source == ""
    assert dataclasses.replace(angiogram, view=None).view is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        angiogram.pixel_spacing_mm = 0.3
