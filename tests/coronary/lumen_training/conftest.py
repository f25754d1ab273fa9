"""Straight vessels of which everything is known."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.lumen_training import MeasuredVessel


@pytest.fixture
def vessels() -> list[MeasuredVessel]:
    """Give three straight vessels of 8 samples, two narrowed to half, 1 px beside the middle column."""
    columns = np.arange(33) - 16
    found = []
    for number, count in enumerate((400, 300, 60)):
        relative = np.ones(count, np.float32)
        if number:
            relative[20:50] = 0.5
        inside = np.abs(columns - 1) <= 4 * relative[:, None]
        grey, chance = (-1.0 * inside).astype(np.float16), (255 * inside).astype(np.uint8)
        offset = np.ones(count, np.float32)
        found.append(MeasuredVessel(grey, chance, 8.0, 8 * relative, offset, relative))
    found[0].diameter_px[200:260] = np.nan
    return found
