"""Hold one angiogram in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Angiogram:
    """Hold one frame with its spacing, view and modality.

    Attributes:
        pixels: (H, W) float32 in 0..1, rows first.
        pixel_spacing_mm: millimetres per pixel at the patient; None where unknown.
        view: (primary, secondary) positioner angle in degrees, LAO and cranial positive; None where unknown.
        modality: DICOM modality ("XA", ...); "" where unknown.
        path: the file.
        pixel_spacing_source: origin of the spacing in words (see `PixelSpacing`); "" where unknown.
        warnings: doubts about the file and values that were taken as unknown, in words.
    """

    pixels: np.ndarray
    pixel_spacing_mm: float | None
    view: tuple[float, float] | None
    modality: str
    path: Path
    pixel_spacing_source: str = ""
    warnings: tuple[str, ...] = ()
