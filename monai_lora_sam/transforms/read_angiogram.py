"""Read one angiogram from a file: pixels with rows first, spacing at the isocentre and view angles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monai_lora_sam.transforms.image_files import read_frame, to_grey

# Deeper images are scaled between these percentiles: a hot pixel or a black collimator edge must not
# decide the contrast of the vessels.
WINDOW_PERCENTILES = (0.1, 99.9)


@dataclass(frozen=True)
class Angiogram:
    """Hold one frame and what its file says of it.

    Attributes:
        pixels: (H, W) float32 in 0..1, rows first.
        pixel_spacing_mm: millimetres per pixel at the isocentre, or None when the file does not say.
        view: (primary, secondary) positioner angle in degrees, LAO and cranial positive, or None.
        modality: DICOM modality ("XA", ...), or "" when the file does not say.
        path: where it was read from.
    """

    pixels: np.ndarray
    pixel_spacing_mm: float | None
    view: tuple[float, float] | None
    modality: str
    path: Path


def _numbers(tags: dict[str, str], tag: str) -> list[float] | None:
    """Return a DICOM tag's decimal strings, or None when it is absent or empty."""
    text = tags.get(tag, "")
    if not text:
        return None
    try:
        values = [float(part) for part in text.split("\\")]
    except ValueError:
        values = [np.nan]
    if not np.isfinite(values).all():
        raise ValueError(f"expected numbers in DICOM tag ({tag.replace('|', ',')}), found {text!r}")
    return values


def _isocentre_spacing(tags: dict[str, str]) -> float | None:
    """Return mm per pixel at the isocentre: imager pixel spacing over the magnification (PS3.3 C.8.7.5)."""
    spacing, magnification = _numbers(tags, "0018|1164"), 1.0
    source_detector, source_patient = _numbers(tags, "0018|1110"), _numbers(tags, "0018|1111")
    if spacing and source_detector and source_patient and min(*source_detector, *source_patient) > 0:
        magnification = source_detector[0] / source_patient[0]
    else:
        spacing = _numbers(tags, "0028|0030")
    if not spacing:
        return None
    if min(spacing) <= 0 or abs(spacing[0] - spacing[-1]) > 0.01 * spacing[0]:
        raise ValueError(f"expected square pixels of a positive spacing, found {spacing} mm (row, column)")
    return float(np.mean(spacing)) / magnification


def _to_unit(grey: np.ndarray, eight_bit: bool) -> np.ndarray:
    """Scale to 0..1: 8-bit over 255, floats already in 0..1 untouched, deeper by the robust window."""
    finite = np.isfinite(grey)
    if not finite.all():
        raise ValueError(f"expected finite pixels, found {int((~finite).sum())} NaN or infinite ones")
    if eight_bit:
        return (grey / 255.0).astype(np.float32)
    if np.issubdtype(grey.dtype, np.floating) and grey.min() >= 0 and grey.max() <= 1:
        return grey.astype(np.float32)
    low, high = np.percentile(grey, WINDOW_PERCENTILES)
    if high <= low:
        return np.zeros(grey.shape, dtype=np.float32)
    return np.clip((grey - low) / (high - low), 0.0, 1.0).astype(np.float32)


def read_angiogram(path: str | Path) -> Angiogram:
    """Read one single-frame angiogram from PNG, JPEG, TIFF, NIfTI or DICOM.

    The pixels come as (H, W) float32 in 0..1, rows first. 8-bit images are divided by 255. Deeper ones
    (16-bit, or floats outside 0..1) are scaled so that their 0.1 and 99.9 percentiles become 0 and 1, and
    clipped there. Colour becomes luminance (Rec. 601), alpha is ignored, MONOCHROME1 is inverted (by
    SimpleITK) so that contrast agent is dark as in every other file; DICOM's own windows are not
    applied. In NIfTI the second axis is taken as rows.

    In DICOM the spacing is that at the isocentre: Imager Pixel Spacing (0018,1164) divided by
    Distance Source to Detector (0018,1110) over Distance Source to Patient (0018,1111), else Pixel
    Spacing (0028,0030). The view is (0018,1510) and (0018,1511). Other formats say neither.

    Raises:
        FileNotFoundError: no such file.
        ValueError: empty, corrupt, wrongly named, several frames, or pixels that are not finite. The
            message names the file, what was expected and what was found.

    Example:
        >>> angiogram = read_angiogram("angiogram.png")
        >>> angiogram.pixels.shape, angiogram.pixel_spacing_mm
        ((512, 512), None)
    """
    path = Path(path)
    frame = read_frame(path)
    array, tags = frame.array, frame.tags
    # Eight stored bits in a 16-bit word are still an 8-bit image.
    eight_bit = array.dtype == np.uint8 or (
        tags.get("0028|0101") == "8" and 0 <= array.min() <= array.max() < 256
    )
    try:
        pixels = _to_unit(to_grey(array), eight_bit)
        spacing = _isocentre_spacing(tags)
        primary, secondary = _numbers(tags, "0018|1510"), _numbers(tags, "0018|1511")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    view = (primary[0], secondary[0]) if primary and secondary else None
    return Angiogram(pixels, spacing, view, tags.get("0008|0060", ""), path)
