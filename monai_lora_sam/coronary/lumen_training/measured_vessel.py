"""Hold, read and write straightened vessels with their true diameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from monai_lora_sam.coronary.images import Angiogram
from monai_lora_sam.coronary.lumen_training.true_diameters import TrueDiameters
from monai_lora_sam.coronary.pipeline import CoronaryPipeline, straighten_vessel
from monai_lora_sam.coronary.qca import measure
from monai_lora_sam.files import atomic_file

LEAST_ROWS = 16  # rows with a known diameter that a vessel needs to be of use


@dataclass(frozen=True, eq=False)
class MeasuredVessel:
    """Hold a straightened vessel and the truth of each row; NaN where it is unknown.

    Attributes:
        grey: (L, T) float16.
        probability: (L, T) uint8, 0 to 255.
        width_px: the vessel's usual width in pixels.
        diameter_px: (L,) of the lumen.
        offset_px: (L,) distance of the lumen's middle from the middle column.
        relative: (L,) diameter over the diameter without stenosis.
    """

    grey: np.ndarray
    probability: np.ndarray
    width_px: float
    diameter_px: np.ndarray
    offset_px: np.ndarray
    relative: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """Rows with a known diameter, (L,) bool."""
        return np.isfinite(self.diameter_px)

    def values(self) -> np.ndarray:
        """Return the network's input (3, L, T), as of a straightened vessel."""
        chance = self.probability.astype(np.float32) / 255
        width = np.full(self.grey.shape, np.log(self.width_px), np.float32)
        return np.stack([self.grey.astype(np.float32), chance, width])


def measure_vessels(
    pipeline: CoronaryPipeline, angiogram: Angiogram, truth: TrueDiameters
) -> list[MeasuredVessel]:
    """Return the vessels that the quantitative analysis follows in an angiogram, with their true diameters.

    Args:
        pipeline: finds the vessel map.
        angiogram: of a phantom.
        truth: of that phantom.
    """
    probability = pipeline.probability(angiogram)
    vessels: list[MeasuredVessel] = []

    def take(
        image: np.ndarray, points: np.ndarray, across: np.ndarray, width_px: np.ndarray, trusted: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, float]:
        vessel = straighten_vessel(image, probability, points, across, width_px, trusted)
        number = np.arange(len(points))
        line, normals = (
            np.column_stack([np.interp(vessel.at, number, vectors[:, axis]) for axis in (0, 1)])
            for vectors in (points, across)
        )
        diameter, offset, relative = truth.along(line, normals)
        if np.isfinite(diameter).sum() >= LEAST_ROWS:
            grey = vessel.values[0].astype(np.float16)
            chance = np.round(255 * vessel.values[1]).astype(np.uint8)
            vessels.append(MeasuredVessel(grey, chance, vessel.width_px, diameter, offset, relative))
        return width_px, np.zeros_like(width_px), 0.0

    measure(probability, image=angiogram.pixels, find_lumen=take)
    return vessels


def write_vessels(path: str | Path, vessels: Sequence[MeasuredVessel]) -> None:
    """Write vessels into one `.npz` file, atomically."""
    arrays = {
        f"{field.name}_{number}": getattr(vessel, field.name)
        for number, vessel in enumerate(vessels)
        for field in fields(MeasuredVessel)
    }
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_vessels(path: str | Path) -> list[MeasuredVessel]:
    """Read the vessels that :func:`write_vessels` wrote."""
    names = [field.name for field in fields(MeasuredVessel)]
    with np.load(path, allow_pickle=False) as arrays:
        return [
            MeasuredVessel(**{name: arrays[f"{name}_{number}"] for name in names})
            for number in range(len(arrays.files) // len(names))
        ]
