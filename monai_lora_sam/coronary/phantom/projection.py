"""The geometry of the C-arm: view angles, distances, detector.

Patient coordinates in mm as in DICOM: x to the patient's left, y to the back, z to the head, origin at the
isocentre. Angles have DICOM's signs (PS3.3 C.8.7.5): primary positive = LAO, secondary positive = cranial.
The picture is shown as usual, as if facing the patient: from the front, the patient's left is on the right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CArm:
    """A cone-beam view.

    Attributes:
        primary_deg, secondary_deg: view angles.
        source_detector_mm, source_patient_mm: distances from the source to the detector and to the isocentre.
        imager_spacing_mm: size of a pixel on the detector.
        shape: rows and columns of the picture.
    """

    primary_deg: float
    secondary_deg: float
    source_detector_mm: float
    source_patient_mm: float
    imager_spacing_mm: float
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        if not 0 < self.source_patient_mm <= self.source_detector_mm:
            raise ValueError(
                "expected 0 < source-patient distance <= source-detector distance, "
                f"found {self.source_patient_mm} and {self.source_detector_mm} mm"
            )
        if self.imager_spacing_mm <= 0:
            raise ValueError(f"expected a positive imager spacing in mm, found {self.imager_spacing_mm}")

    @property
    def pixel_spacing_mm(self) -> float:
        """Return the size of a pixel at the isocentre: imager spacing · source-patient / source-detector."""
        return self.imager_spacing_mm * self.source_patient_mm / self.source_detector_mm

    @property
    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return unit vectors (3,) along growing columns, along growing rows, and towards the detector."""
        primary, secondary = np.deg2rad(self.primary_deg), np.deg2rad(self.secondary_deg)
        sin_p, cos_p, sin_s, cos_s = np.sin(primary), np.cos(primary), np.sin(secondary), np.cos(secondary)
        columns = np.array([cos_p, sin_p, 0.0])
        detector = np.array([sin_p * cos_s, -cos_p * cos_s, sin_s])
        upwards = np.array([-sin_s * sin_p, sin_s * cos_p, cos_s])
        return columns, -upwards, detector

    def project(self, points_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Project points (..., 3) to (row, column) in pixels (..., 2) and depth from the source in mm (...).

        Pixel centres have whole coordinates; the isocentre falls on the middle of the picture.

        Raises:
            ValueError: when a point lies at or behind the source.
        """
        columns, rows, detector = self.axes
        depth = points_mm @ detector + self.source_patient_mm
        if np.any(depth <= 0):
            raise ValueError(
                f"expected points in front of the source, found a depth of {float(depth.min()):.1f} mm"
            )
        scale = self.pixels_per_mm(depth)
        middle_row, middle_column = (self.shape[0] - 1) / 2, (self.shape[1] - 1) / 2
        row = points_mm @ rows * scale + middle_row
        column = points_mm @ columns * scale + middle_column
        return np.stack([row, column], axis=-1), depth

    def pixels_per_mm(self, depth_mm: np.ndarray) -> np.ndarray:
        """Return how many pixels one mm spans at a depth: source-detector / depth / imager spacing."""
        return self.source_detector_mm / np.asarray(depth_mm) / self.imager_spacing_mm
