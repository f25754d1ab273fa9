"""View angles, pixel spacing at the patient and time of each frame, from a DICOM header."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_lora_sam.images import OptionalTags

#: Millimetres per pixel at the patient, lowest and highest. Detectors of angiography have pixels of 0.076 mm or more,
#: which a magnification of 1.1 to 2 makes smaller at the patient, and fields of at most 48 cm, over 240 pixels or more.
PLAUSIBLE_SPACING_MM = (0.05, 2.0)
#: Source-detector by source-patient distance, lowest and highest: the heart lies at least 5 cm before a detector that
#: is a metre away from the source, and not nearer to the source than a third of that way.
PLAUSIBLE_MAGNIFICATION = (1.05, 3.0)
#: Degrees by which a primary and a secondary angle can differ from 0.
LARGEST_ANGLES = {"Primary": 180.0, "Secondary": 90.0}

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


def implausible_spacing(millimetres: float) -> str | None:
    """Return why a pixel spacing at the patient cannot be right, in words; None where it can."""
    low, high = PLAUSIBLE_SPACING_MM
    if low <= millimetres <= high:
        return None
    return f"expected {low:g} to {high:g} mm per pixel at the patient, found {millimetres:g}"


def _group(tags: OptionalTags, frame: int, sequence: str) -> OptionalTags | None:
    """Return a frame's item of a functional group; None where there is none (PS3.3 C.7.6.16)."""
    for place, index in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        item = tags.item(place, index)
        found = item.item(sequence) if item else None
        if found:
            return found
    return None


def views(tags: OptionalTags, frames: int) -> tuple[tuple[float, float] | None, ...]:
    """Return each frame's (primary, secondary) angle in degrees, LAO and cranial positive; None where unknown.

    Enhanced XA has angles for each frame. Classic XA has the angles of the first frame and, when the arm moved,
    either the mean step per frame or each frame's offset from the first (PS3.3 C.8.7.5.1.3). Faulty offsets leave the
    angle of the first frame alone.
    """
    angles = [_angles(tags, name, frames) for name in LARGEST_ANGLES]
    return tuple(
        None if np.isnan(pair).any() else (float(pair[0]), float(pair[1])) for pair in np.stack(angles, 1)
    )


def _angles(tags: OptionalTags, name: str, frames: int) -> np.ndarray:
    keyword, most = f"Positioner{name}Angle", LARGEST_ANGLES[name]
    if tags.text(keyword):
        angles = np.full(frames, _known(tags.number(keyword, -most, most, "degrees")))
        if tags.text(f"{keyword}Increment"):
            increments = tags.numbers(
                f"{keyword}Increment", (1, frames), -360 * frames, 360 * frames, "degrees"
            )
            if increments is None:
                angles[1:] = np.nan
            else:
                angles += np.arange(frames) * increments[0] if len(increments) == 1 else increments
    else:
        groups = [_group(tags, frame, "PositionerPositionSequence") for frame in range(frames)]
        found = [group.number(keyword, -most, most, "degrees") if group else None for group in groups]
        angles = np.array([_known(angle) for angle in found])
    if (np.abs(angles) > most).any():
        tags.warn(
            f"{keyword}Increment", f"angles within {most:g} degrees of 0", f"{np.nanmax(np.abs(angles)):g}"
        )
        angles[np.abs(angles) > most] = np.nan
    return angles


def _known(value: float | None) -> float:
    return np.nan if value is None else value


def spacings(tags: OptionalTags, frames: int) -> tuple[PixelSpacing | None, ...]:
    """Return each frame's pixel size at the patient; None where unknown.

    The first of these counts: a calibration that the file names; the imager's pixel spacing divided by the
    magnification (from the distances, else as estimated); a pixel spacing of unnamed origin. A pixel spacing equal to
    the imager's describes the detector, not the patient, and is ignored (PS3.3 10.7.1.3). Each that is faulty, oblong
    or implausible is passed over with a warning.
    """
    groups = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
    if not any(name in tags.dataset for name in groups):
        return (_spacing(tags),) * frames
    return tuple(_enhanced_spacing(tags, frame) for frame in range(frames))


def _spacing(tags: OptionalTags) -> PixelSpacing | None:
    calibrated, imager = _square(tags, "PixelSpacing"), _square(tags, "ImagerPixelSpacing")
    kind = tags.text("PixelSpacingCalibrationType").lower()
    if calibrated and kind in ("fiducial", "geometry"):
        found = _plausible(
            tags, PixelSpacing(calibrated, kind, tags.text("PixelSpacingCalibrationDescription"))
        )
        if found:
            return found
    geometry = _from_imager(tags, imager, "DistanceSourceToPatient")
    of_detector = calibrated and imager and abs(calibrated - imager) < 1e-4 * imager
    if geometry or not calibrated or of_detector or kind in ("fiducial", "geometry"):
        return geometry
    return _plausible(tags, PixelSpacing(calibrated, "stated"))


def _enhanced_spacing(tags: OptionalTags, frame: int) -> PixelSpacing | None:
    beam = _group(tags, frame, "ProjectionPixelCalibrationSequence")
    calibrated = _square(beam, "ObjectPixelSpacingInCenterOfBeam")
    found = _plausible(tags, PixelSpacing(calibrated, "beam_centre")) if calibrated else None
    if found:
        return found
    imager = _square(_group(tags, frame, "FramePixelDataPropertiesSequence"), "ImagerPixelSpacing")
    geometry = _group(tags, frame, "XRayGeometrySequence")
    if geometry is None:
        return None
    return _from_imager(geometry, imager or _square(tags, "ImagerPixelSpacing"), "DistanceSourceToIsocenter")


def _from_imager(tags: OptionalTags, imager: float | None, source_patient: str) -> PixelSpacing | None:
    """Return the imager's spacing by the first plausible magnification, of the distances or as estimated."""
    near, far = tags.number(source_patient, 0), tags.number("DistanceSourceToDetector", 0)
    low, high = PLAUSIBLE_MAGNIFICATION
    factors = []
    if near and far and low <= far / near <= high:
        factors.append((far / near, "distances"))
    elif near and far:
        tags.note(
            f"DICOM DistanceSourceToDetector (0018,1110) and {source_patient}: expected a magnification of {low:g} "
            f"to {high:g}, found {far:g} / {near:g} = {far / near:.4g}; taken as unknown."
        )
    estimated = "EstimatedRadiographicMagnificationFactor"
    if not factors and tags.number(estimated) != 0:
        factor = tags.number(estimated, low, high)
        factors += [(factor, "magnification")] if factor else []
    return next(
        (_plausible(tags, PixelSpacing(imager / factor, source)) for factor, source in factors if imager),
        None,
    )


def _plausible(tags: OptionalTags, spacing: PixelSpacing) -> PixelSpacing | None:
    reason = implausible_spacing(spacing.mm)
    if reason is None:
        return spacing
    tags.note(f"DICOM {SPACING_SOURCES[spacing.source]}: {reason}; taken as unknown.")
    return None


def _square(tags: OptionalTags | None, keyword: str) -> float | None:
    """Return the side of square pixels in mm; None where it is unknown, oblong or not positive."""
    found = tags and tags.numbers(keyword, (1, 2))
    if not tags or not found:
        return None
    if min(found) <= 0 or abs(found[0] - found[-1]) > 0.01 * found[0]:
        values = ", ".join(f"{value:g}" for value in found)
        tags.warn(keyword, "square pixels of a positive spacing", f"{values} mm (row, column)")
        return None
    return float(np.mean(found))


def frame_times_ms(tags: OptionalTags, frames: int) -> tuple[float, ...] | None:
    """Return the time of each frame in ms from the first; None where unknown.

    The first of Frame Time Vector, Frame Time, Cine Rate and Recommended Display Frame Rate counts that is sound.
    """
    vector = tags.numbers("FrameTimeVector", (frames,), 0, unit="ms")
    if vector:
        return tuple(np.cumsum(vector).astype(float) - vector[0])
    step = tags.number("FrameTime", 0, unit="ms")
    for keyword in ("CineRate", "RecommendedDisplayFrameRate"):
        rate = None if step else tags.number(keyword, 0, unit="frames per second")
        step = 1000.0 / rate if rate else step
    return tuple(step * index for index in range(frames)) if step else None
