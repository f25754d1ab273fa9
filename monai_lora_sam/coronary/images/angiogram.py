"""Hold one angiogram in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Angiogram:
    """Hold one frame and what its file says of it.

    Attributes:
        pixels: (H, W) float32 in 0..1, rows first.
        pixel_spacing_mm: millimetres per pixel at the patient, or None when the file does not say.
        view: (primary, secondary) positioner angle in degrees, LAO and cranial positive, or None.
        modality: DICOM modality ("XA", ...), or "" when the file does not say.
        path: where it was read from.
        pixel_spacing_source: how the spacing is known, in words (see `PixelSpacing`), "" when it is not.
    """

    pixels: np.ndarray
    pixel_spacing_mm: float | None
    view: tuple[float, float] | None
    modality: str
    path: Path
    pixel_spacing_source: str = ""
