"""Data sets of straightened vessels with their true diameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import map_coordinates
from torch import Tensor, from_numpy
from torch.utils.data import Dataset

from monai_lora_sam.coronary.lumen_training.measured_vessel import MeasuredVessel

ROWS = 160  # rows of a crop: twenty widths
LESION_SHARE = 0.5  # of the crops hold a stenosis
NARROWED = 0.85  # diameter over reference, below which a row is narrowed
CLOSED_SHARE = 0.05  # of the crops are closed over a stretch: phantoms have no total occlusions
HIDDEN_SHARE = 0.3  # of the crops have a hole in the map
STRETCH = (6, 40)  # least and largest number of rows of such a stretch or hole
BREATHING_SHARE = 0.7  # of the crops have a map of changed width
BREATHING = 0.3  # standard deviation of that change, as a logarithm
BREATH_ROWS = 8  # rows over which it changes
LESION_WEIGHT = 30.0  # weight of a narrowed row for each unit of depth
LESION_REACH = 12  # rows beside a stenosis that weigh more, too


class VesselCrops(Dataset):
    """Draw random crops of vessels, the same for equal seed and index; a shorter vessel is padded.

    Items are `image` (3, 160, T) and `label` (3, 160): diameter and offset in widths, and weight, 0 where unknown.

    Args:
        vessels: to crop.
        length: number of crops in an epoch.

    Raises:
        ValueError: if no vessel has a known diameter.

    Example:
        >>> crops = VesselCrops(prepare_vessels("phantoms")["training"], 12000)  # doctest: +SKIP
    """

    def __init__(self, vessels: Sequence[MeasuredVessel], length: int) -> None:
        self.vessels, self.length, self.seed = vessels, length, 0
        rows = np.array([vessel.known.sum() for vessel in vessels], dtype=float)
        if not rows.sum():
            raise ValueError(f"expected vessels with known diameters, found none in {len(vessels)}")
        self.chance = rows / rows.sum()
        self.narrowed = [number for number, vessel in enumerate(vessels) if _narrowed(vessel).any()]

    def set_random_state(self, seed: int) -> None:
        """Draw other crops; :class:`monai_lora_sam.handlers.EpochSeed` calls it at the start of each epoch."""
        self.seed = seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        values, truth = self.draw(np.random.default_rng((self.seed, index)))
        return {"image": from_numpy(values), "label": from_numpy(truth)}

    def draw(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return values (3, 160, T) and truth (3, 160) of a crop."""
        vessel, rows, inside = self._rows(random)
        grey, chance = vessel.grey[rows].astype(np.float32), vessel.probability[rows].astype(np.float32) / 255
        grey[~inside], chance[~inside] = 0.0, 0.0
        known = inside & vessel.known[rows]
        diameter, offset = (
            np.where(known, true[rows], 0.0) / vessel.width_px
            for true in (vessel.diameter_px, vessel.offset_px)
        )
        depth = np.where(known, 1 - vessel.relative[rows], 0.0)
        if random.random() < CLOSED_SHARE:
            close(grey, chance, diameter, offset, depth, random)
        if random.random() < BREATHING_SHARE:
            chance = breathe(chance, random)
        if random.random() < HIDDEN_SHARE:
            hidden = slice(begin := int(random.integers(ROWS)), begin + int(random.integers(*STRETCH)))
            chance[hidden] *= random.choice([0.0, 0.3])
        if random.random() < 0.5:
            grey *= random.uniform(0.8, 1.2)
        if random.random() < 0.3:
            grey += random.normal(0, random.uniform(0, 0.25), grey.shape)
        values = np.stack([grey, chance, np.full_like(grey, np.log(vessel.width_px))])
        truth = np.stack([diameter, offset, known * row_weights(depth)])
        if random.random() < 0.5:
            values, truth = values[:, ::-1], truth[:, ::-1]
        if random.random() < 0.5:
            values, truth = values[:, :, ::-1], truth * np.array([1, -1, 1])[:, None]
        return values.astype(np.float32), truth.astype(np.float32)

    def _rows(self, random: np.random.Generator) -> tuple[MeasuredVessel, np.ndarray, np.ndarray]:
        """Choose a vessel and its rows; say which rows lie in it."""
        if self.narrowed and random.random() < LESION_SHARE:
            vessel = self.vessels[random.choice(self.narrowed)]
            middle = int(random.choice(np.flatnonzero(_narrowed(vessel))))
        else:
            vessel = self.vessels[random.choice(len(self.vessels), p=self.chance)]
            middle = int(random.integers(len(vessel.known)))
        count, least = len(vessel.known), -(ROWS // 4)
        first = int(np.clip(middle - random.integers(ROWS), least, max(count - ROWS - least, least)))
        rows = np.arange(first, first + ROWS)
        return vessel, rows.clip(0, count - 1), (rows >= 0) & (rows < count)


class WholeVessels(Dataset):
    """Give whole vessels: `image` (3, L, T) and `label` (2, L), diameter in widths, NaN where unknown, and relative.

    Example:
        >>> vessels = WholeVessels(prepare_vessels("phantoms")["validation"])  # doctest: +SKIP
    """

    def __init__(self, vessels: Sequence[MeasuredVessel]) -> None:
        self.vessels = vessels

    def __len__(self) -> int:
        return len(self.vessels)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        vessel = self.vessels[index]
        label = np.stack([vessel.diameter_px / vessel.width_px, vessel.relative]).astype(np.float32)
        return {"image": from_numpy(vessel.values()), "label": from_numpy(label)}


def breathe(chance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Widen and narrow a map (L, T) along the vessel, so that the grey values have to say how wide it is."""
    knots = random.normal(0, BREATHING, len(chance) // BREATH_ROWS + 2)
    factor = np.exp(np.interp(np.arange(len(chance)), BREATH_ROWS * np.arange(len(knots)), knots))
    middle = (chance.shape[1] - 1) / 2
    columns = middle + (np.arange(chance.shape[1]) - middle) / factor[:, None]
    rows = np.broadcast_to(np.arange(len(chance))[:, None], columns.shape)
    return map_coordinates(chance, np.stack([rows, columns]), order=1, mode="nearest")


def close(
    grey: np.ndarray,
    chance: np.ndarray,
    diameter: np.ndarray,
    offset: np.ndarray,
    depth: np.ndarray,
    random: np.random.Generator,
) -> None:
    """Put background in place of the vessel over some rows of a crop, in place."""
    begin = int(random.integers(len(grey) - STRETCH[1]))
    rows = slice(begin, begin + int(random.integers(*STRETCH)))
    quarter = grey.shape[1] // 4
    inner = slice(quarter, grey.shape[1] - quarter)
    background = np.concatenate([grey[rows, :quarter], grey[rows, -quarter:]], axis=1)
    width = inner.stop - inner.start
    grey[rows, inner] = np.pad(background, ((0, 0), (0, width)), mode="reflect")[:, -width:]
    chance[rows] = 0.0
    diameter[rows], offset[rows], depth[rows] = 0.0, 0.0, 0.5


def row_weights(depth: np.ndarray) -> np.ndarray:
    """Return the weight of each row by its depth, 0 to 1: stenoses are rare, and weigh more the deeper they are."""
    narrowed = depth > 0.03
    near = np.convolve(narrowed, np.ones(2 * LESION_REACH + 1), "same") > 0
    return 1 + 2 * near + LESION_WEIGHT * depth * narrowed


def _narrowed(vessel: MeasuredVessel) -> np.ndarray:
    return vessel.known & (vessel.relative < NARROWED)
