"""Calibration: the size of a pixel at the patient, its source and its expected error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d, map_coordinates
from scipy.optimize import least_squares

from monai_lora_sam.coronary.images import implausible_spacing
from monai_lora_sam.coronary.polyline import Polyline

FRENCH_MM = 1 / 3  # outer diameter of one French
BY_HAND, CATHETER = "given by hand", "catheter"

#: Method → expected relative error in percent (one standard deviation) and the ground for it.
EXPECTED_ERRORS: dict[str, tuple[float, str]] = {
    CATHETER: (
        3.2,
        "a quarter of the range of -8.9 to +4 % over 57 guiding catheters without contrast medium (Herrman et al., "
        "Cathet Cardiovasc Diagn 1994;33:55-60)",
    ),
    "fiducial": (3.2, "assumed to be as good as a catheter"),
    "distances": (
        3.8,
        "assumed: the vessel lies up to 5 cm nearer to the source or farther than the isocentre, which is 75 cm away",
    ),
    "geometry": (3.8, "assumed, as for the distances"),
    "beam_centre": (3.8, "assumed, as for the distances"),
    "magnification": (5.0, "assumed: the magnification is itself an estimate"),
    "stated": (10.0, "assumed: the file does not say what the spacing refers to"),
    BY_HAND: (5.0, "assumed: nothing is known of how it was measured"),
}

STEP_PX = 0.25  # across the catheter
BLOCK_PX = 25.0  # length over which the catheter is straight
EDGE_SIGMA_PX = 1.0  # of the derivative by which the fit starts
MARGIN_PX = 5.0  # of background beside the catheter
REACH_PX = 24.0  # half-length of the profiles: 8 French at 0.15 mm per pixel is 18 px wide
LEAST_LENGTH_PX = 15.0
LEAST_SHARE = 0.6  # of the stretches on which a tube must fit
LEAST_EXPLAINED = 0.8  # of a profile's variance beyond a sloping background


@dataclass(frozen=True)
class Calibration:
    """Hold the size of a pixel at the patient in mm, its source, and its expected relative error.

    Attributes:
        pixel_spacing_mm: millimetres per pixel.
        method: a key of :data:`EXPECTED_ERRORS`.
        expected_error_percent: one standard deviation of the relative error.
        detail: in words, such as the object that was used.

    Raises:
        ValueError: an implausible spacing, an unknown method, a negative error.

    Example:
        >>> Calibration.of(0.3, "distances").to_json()["expected_error_percent"]
        3.8
    """

    pixel_spacing_mm: float
    method: str
    expected_error_percent: float
    detail: str = ""

    def __post_init__(self) -> None:
        reason = implausible_spacing(self.pixel_spacing_mm)
        if reason is not None:
            raise ValueError(f"pixel spacing: {reason}")
        if self.method not in EXPECTED_ERRORS:
            raise ValueError(
                f"expected a calibration method among {', '.join(EXPECTED_ERRORS)}, found {self.method!r}"
            )
        if not 0 <= self.expected_error_percent < 100:
            raise ValueError(f"expected an error of 0 to 100 %, found {self.expected_error_percent}")

    @classmethod
    def of(cls, pixel_spacing_mm: float, method: str = BY_HAND, detail: str = "") -> Calibration:
        """Return a calibration with the error that its method usually has.

        `method` is ``"given by hand"``, ``"catheter"``, or the source of a DICOM file's spacing (`PixelSpacing`).
        """
        expected = EXPECTED_ERRORS.get(method, (0.0, ""))[0]
        return cls(float(pixel_spacing_mm), method, expected, detail)

    def to_json(self) -> dict[str, Any]:
        """Return the report's entry; the error's ground is in words beside it."""
        row: dict[str, Any] = {
            "pixel_spacing_mm": round(self.pixel_spacing_mm, 6),
            "method": self.method,
            "expected_error_percent": round(self.expected_error_percent, 2),
        }
        expected, ground = EXPECTED_ERRORS[self.method]
        if self.expected_error_percent == expected:
            row["expected_error_source"] = ground
        return row | ({"detail": self.detail} if self.detail else {})


def calibrate_by_catheter(
    image: np.ndarray, points_rc: Sequence[Sequence[float]] | np.ndarray, french: float
) -> Calibration:
    """Measure a catheter of known size in the picture; a French is a third of a millimetre.

    A tube is fitted to profiles across the catheter, each averaged over a short stretch: wall and bore may
    absorb differently, so that a catheter with contrast medium in it is measured by its outer width, too. The
    extrema of the derivatives, by which vessel edges are found elsewhere, were 17 % too narrow to 13 % too
    wide on tubes drawn by formula, depending on the bore and the blur.

    Args:
        image: (H, W) grey levels; the catheter darker or brighter than its surroundings.
        points_rc: (N, 2) two or more points along the middle of the catheter, to a few pixels.
        french: the catheter's size.

    Returns:
        The calibration; its expected error is that of the method, or the scatter of this measurement where
        that is larger.

    Raises:
        ValueError: too few points, points outside the image or too close, a size outside 3 to 12 French, or edges
            that cannot be seen.

    Example:
        >>> calibrate_by_catheter(image, [(40, 60), (120, 75)], french=6).pixel_spacing_mm  # doctest: +SKIP
        0.287
    """
    if not 3 <= french <= 12:
        raise ValueError(f"expected a catheter of 3 to 12 French, found {french}")
    widths = catheter_widths(image, points_rc)
    width = float(np.median(widths))
    scatter = 1.4826 * float(np.median(np.abs(widths - width)))
    precision = 100.0 * scatter / width / np.sqrt(len(widths))
    spacing = french * FRENCH_MM / width
    expected = max(EXPECTED_ERRORS[CATHETER][0], precision)
    return Calibration(spacing, CATHETER, expected, f"{french:g} French, {width:.2f} px wide")


def catheter_widths(image: np.ndarray, points_rc: Sequence[Sequence[float]] | np.ndarray) -> np.ndarray:
    """Return the outer width in px of each stretch of `BLOCK_PX` along a catheter on which the tube fits, (N,)."""
    image = np.asarray(image, dtype=np.float32)
    line = _line(image, points_rc)
    offsets = np.arange(-REACH_PX, REACH_PX + STEP_PX / 2, STEP_PX)
    places = line.points[:, None, :] + offsets[None, :, None] * line.normals[:, None, :]
    profiles = map_coordinates(image, places.transpose(2, 0, 1), order=1, mode="nearest")
    left, right = _coarse_edges(profiles.mean(axis=0), offsets)
    blocks = max(round(len(line.points) / BLOCK_PX), 1)
    widths = [
        _tube_width(block.mean(axis=0), offsets, left, right) for block in np.array_split(profiles, blocks)
    ]
    found = np.array([width for width in widths if width is not None])
    if len(found) < LEAST_SHARE * blocks:
        raise ValueError(
            f"expected both edges of a catheter along the points, found them on {len(found)} of {blocks} stretches; "
            "choose a straight part clear of vessels and bone edges"
        )
    return found


def _line(image: np.ndarray, points_rc: Sequence[Sequence[float]] | np.ndarray) -> Polyline:
    """Return the points as a line with a point at about each pixel."""
    if image.ndim != 2:
        raise ValueError(f"expected an image of shape (height, width), found {image.shape}")
    points = np.asarray(points_rc, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 2:
        raise ValueError(f"expected two or more points (row, column), found an array of {points.shape}")
    if (points < 0).any() or (points > np.array(image.shape) - 1).any():
        raise ValueError(f"expected points within the image of {image.shape}, found {points.tolist()}")
    line = Polyline(points)
    if line.length < LEAST_LENGTH_PX:
        raise ValueError(f"expected at least {LEAST_LENGTH_PX:g} px of catheter, found {line.length:.1f} px")
    return Polyline(line.at(np.linspace(0.0, line.length, int(line.length) + 1)))


def _coarse_edges(mean: np.ndarray, offsets: np.ndarray) -> tuple[float, float]:
    """Return the pair of opposite edges on either side of the points that stands out most."""
    slope = gaussian_filter1d(mean, EDGE_SIGMA_PX / STEP_PX, order=1)
    best, edges = 0.0, (0.0, 0.0)
    for sign in (-1.0, 1.0):
        # A point near to the given ones must lie between both edges.
        for centre in np.flatnonzero(np.abs(offsets) <= REACH_PX / 3)[:: int(1 / STEP_PX)]:
            left = int(np.argmax(sign * slope[: centre + 1]))
            right = centre + int(np.argmax(-sign * slope[centre:]))
            # Far structures count less than those beside the points.
            both = min(sign * slope[left], -sign * slope[right]) / (
                1 + (offsets[right] - offsets[left]) / REACH_PX
            )
            if both > best:
                best, edges = both, (float(offsets[left]), float(offsets[right]))
    if best <= 1e-6 * max(float(np.ptp(mean)), 1e-12) or edges[1] - edges[0] < 2:
        raise ValueError("expected the edges of a catheter beside the points, found none")
    return edges


def _tube_width(profile: np.ndarray, offsets: np.ndarray, left: float, right: float) -> float | None:
    """Fit a tube seen by transmission to one profile and return its outer width; None where it does not fit.

    The grey level is that of a sloping background and of two amounts of matter, of the wall and of the bore,
    blurred. Only their amounts are linear: they are solved for within the fit of the middle, the width, the
    bore and the blur.
    """
    middle, width = (left + right) / 2, right - left
    near = np.abs(offsets - middle) <= width / 2 + MARGIN_PX
    at, grey = offsets[near], profile[near]

    def design(p: np.ndarray) -> np.ndarray:
        centre, log_radius, bore, log_blur = p
        radius, sigma = np.exp(log_radius), np.exp(log_blur) / STEP_PX
        outer, inner = (gaussian_filter1d(_chord(at - centre, r), sigma) for r in (radius, bore * radius))
        return np.column_stack([np.ones(len(at)), at, outer - inner, inner])

    def residuals(p: np.ndarray) -> np.ndarray:
        columns = design(p)
        return columns @ np.linalg.lstsq(columns, grey, rcond=None)[0] - grey

    best = None
    for bore in (0.3, 0.7):
        start = [middle, np.log(0.5 * width), bore, np.log(0.8)]
        low = [middle - 3, np.log(0.3 * width), 0.0, np.log(0.3)]
        high = [middle + 3, np.log(0.9 * width), 0.9, np.log(2.0)]
        found = least_squares(residuals, start, bounds=(low, high), max_nfev=40)
        best = found if best is None or found.cost < best.cost else best
    assert best is not None
    background = np.column_stack([np.ones(len(at)), at])
    unexplained = grey - background @ np.linalg.lstsq(background, grey, rcond=None)[0]
    if 2 * best.cost > (1 - LEAST_EXPLAINED) * float(np.square(unexplained).sum()):
        return None
    return float(2 * np.exp(best.x[1]))


def _chord(distance: np.ndarray, radius: float) -> np.ndarray:
    """Return the mean chord of a circle over each step across it, (N,)."""
    edges = np.clip(np.append(distance - STEP_PX / 2, distance[-1] + STEP_PX / 2), -radius, radius)
    area = edges * np.sqrt(np.maximum(radius**2 - edges**2, 0.0))
    if radius > 0:
        area = area + radius**2 * np.arcsin(edges / radius)
    return np.diff(area) / STEP_PX
