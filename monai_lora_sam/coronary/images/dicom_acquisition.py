"""View angles, pixel spacing at the patient and time of each frame, from a DICOM header."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pydicom

from monai_lora_sam.images import element_numbers

#: `PixelSpacing.source` → its description in reports.
SPACING_SOURCES = {
    "fiducial": "calibrated on an object of known size (0028,0030)",
    "geometry": "calibrated by the system for an assumed depth (0028,0030)",
    "beam_centre": "calibrated at the centre of the beam (0018,9404)",
    "distances": "imager pixel spacing ÷ (source-detector ÷ source-patient distance)",
    "magnification": "imager pixel spacing ÷ estimated radiographic magnification (0018,1114)",
    "stated": "pixel spacing whose calibration the file does not name (0028,0030)",
}


@dataclass(frozen=True)
class PixelSpacing:
    """Hold the size of a pixel at the patient and its origin.

    Attributes:
        mm: millimetres per pixel.
        source: a key of `SPACING_SOURCES`.
        detail: the file's description of the calibration, such as the object used; "" where there is none.
    """

    mm: float
    source: str
    detail: str = ""

    @property
    def description(self) -> str:
        """Return the source in words."""
        return SPACING_SOURCES[self.source] + (f": {self.detail}" if self.detail else "")


def _groups(dataset: pydicom.Dataset, frame: int, sequence: str) -> pydicom.Dataset:
    """Return a frame's item of a functional group; empty where there is none (PS3.3 C.7.6.16)."""
    for place in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        items = dataset.get(place) or []
        index = frame if place.startswith("PerFrame") else 0
        if index < len(items) and items[index].get(sequence):
            return items[index].get(sequence)[0]
    return pydicom.Dataset()


def views(dataset: pydicom.Dataset, frames: int) -> tuple[tuple[float, float] | None, ...]:
    """Return each frame's (primary, secondary) angle in degrees, LAO and cranial positive; None where unknown.

    Enhanced XA has angles for each frame. Classic XA has the angles of the first frame and, when the arm moved,
    either the mean step per frame or each frame's offset from the first (PS3.3 C.8.7.5.1.3).

    Raises:
        ValueError: an angle is no number, or the offsets number neither one nor as many as the frames.
    """
    angles = [_angles(dataset, name, frames) for name in ("Primary", "Secondary")]
    return tuple(
        None if np.isnan(pair).any() else (float(pair[0]), float(pair[1])) for pair in np.stack(angles, 1)
    )


def _angles(dataset: pydicom.Dataset, name: str, frames: int) -> np.ndarray:
    keyword = f"Positioner{name}Angle"
    start, increments = element_numbers(dataset, keyword), element_numbers(dataset, f"{keyword}Increment")
    if not start:
        found = [
            element_numbers(_groups(dataset, frame, "PositionerPositionSequence"), keyword)
            for frame in range(frames)
        ]
        return np.array([value[0] if value else np.nan for value in found])
    if not increments:
        return np.full(frames, start[0])
    if len(increments) == 1:
        return start[0] + np.arange(frames) * increments[0]
    if len(increments) != frames:
        raise ValueError(f"expected 1 or {frames} values in {keyword}Increment, found {len(increments)}")
    return start[0] + np.array(increments)


def spacings(dataset: pydicom.Dataset, frames: int) -> tuple[PixelSpacing | None, ...]:
    """Return each frame's pixel size at the patient; None where unknown.

    The first of these counts: a calibration that the file names; the imager's pixel spacing divided by the
    magnification (from the distances, else as estimated); a pixel spacing of unnamed origin. A pixel spacing equal to
    the imager's describes the detector, not the patient, and is ignored (PS3.3 10.7.1.3).

    Raises:
        ValueError: oblong pixels, or a spacing that is not a positive number.
    """
    if "PerFrameFunctionalGroupsSequence" not in dataset and "SharedFunctionalGroupsSequence" not in dataset:
        return (_spacing(dataset),) * frames
    return tuple(_enhanced_spacing(dataset, frame) for frame in range(frames))


def _spacing(dataset: pydicom.Dataset) -> PixelSpacing | None:
    calibrated, imager = _square(dataset, "PixelSpacing"), _square(dataset, "ImagerPixelSpacing")
    kind = str(dataset.get("PixelSpacingCalibrationType") or "").strip().lower()
    if calibrated and kind in ("fiducial", "geometry"):
        return PixelSpacing(
            calibrated, kind, str(dataset.get("PixelSpacingCalibrationDescription") or "").strip()
        )
    geometry = _from_imager(
        imager,
        element_numbers(dataset, "DistanceSourceToDetector"),
        element_numbers(dataset, "DistanceSourceToPatient"),
        element_numbers(dataset, "EstimatedRadiographicMagnificationFactor"),
    )
    if geometry or not calibrated or (imager and abs(calibrated - imager) < 1e-4 * imager):
        return geometry
    return PixelSpacing(calibrated, "stated")


def _enhanced_spacing(dataset: pydicom.Dataset, frame: int) -> PixelSpacing | None:
    calibrated = _square(
        _groups(dataset, frame, "ProjectionPixelCalibrationSequence"), "ObjectPixelSpacingInCenterOfBeam"
    )
    if calibrated:
        return PixelSpacing(calibrated, "beam_centre")
    geometry = _groups(dataset, frame, "XRayGeometrySequence")
    imager = _square(_groups(dataset, frame, "FramePixelDataPropertiesSequence"), "ImagerPixelSpacing")
    return _from_imager(
        imager or _square(dataset, "ImagerPixelSpacing"),
        element_numbers(geometry, "DistanceSourceToDetector"),
        element_numbers(geometry, "DistanceSourceToIsocenter"),
        element_numbers(geometry, "EstimatedRadiographicMagnificationFactor"),
    )


def _from_imager(
    imager: float | None,
    source_detector: list[float] | None,
    source_patient: list[float] | None,
    magnification: list[float] | None,
) -> PixelSpacing | None:
    if imager and source_detector and source_patient and min(source_detector[0], source_patient[0]) > 0:
        return PixelSpacing(imager * source_patient[0] / source_detector[0], "distances")
    if imager and magnification and magnification[0] > 0:
        return PixelSpacing(imager / magnification[0], "magnification")
    return None


def _square(dataset: pydicom.Dataset, keyword: str) -> float | None:
    found = element_numbers(dataset, keyword)
    if not found:
        return None
    if min(found) <= 0 or abs(found[0] - found[-1]) > 0.01 * found[0]:
        raise ValueError(f"expected square pixels of a positive spacing, found {found} mm (row, column)")
    return float(np.mean(found))


def frame_times_ms(dataset: pydicom.Dataset, frames: int) -> tuple[float, ...] | None:
    """Return the time of each frame in ms from the first; None where unknown.

    The first present of Frame Time Vector, Frame Time, Cine Rate and Recommended Display Frame Rate counts.
    """
    vector, step = element_numbers(dataset, "FrameTimeVector"), element_numbers(dataset, "FrameTime")
    if vector and len(vector) == frames:
        return tuple(np.cumsum(vector).astype(float) - vector[0])
    for keyword in ("CineRate", "RecommendedDisplayFrameRate"):
        rate = element_numbers(dataset, keyword)
        if not (step and step[0] > 0) and rate and rate[0] > 0:
            step = [1000.0 / rate[0]]
    return tuple(step[0] * index for index in range(frames)) if step and step[0] > 0 else None
