"""Stenoses of a known degree, length and place on the diameter along a vessel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_lora_sam.coronary.anatomy import SyntaxSegment
from monai_lora_sam.coronary.phantom.tree import Branch, CoronaryTree

#: A vessel narrower than this carries no lesion: SYNTAX scores vessels of 1.5 mm and more.
SMALLEST_LESION_VESSEL_MM = 1.5

#: Random places tried for each lesion; far more than any tree has needed.
_PLACES_TRIED = 400


@dataclass(frozen=True)
class PlacedLesion:
    """A stenosis on a branch of the tree.

    `minimum_index` is the sample of the smallest diameter; %DS is 100 · (1 − MLD / reference diameter there).
    """

    branch: int
    start_index: int
    stop_index: int
    minimum_index: int
    segment: SyntaxSegment
    percent_diameter_stenosis: float
    minimum_lumen_diameter_mm: float
    reference_diameter_mm: float
    length_mm: float


def stenosis_profile(arc_mm: np.ndarray, centre_mm: float, length_mm: float, percent: float) -> np.ndarray:
    """Return the factor (N,) on the diameter of a cosine-shaped stenosis.

    The factor is 1 at the lesion's borders, without a kink, and 1 − percent / 100 at its centre.

    Raises:
        ValueError: when percent lies outside 0 to 100 (excluded) or the length is not positive.

    Example:
        >>> stenosis_profile(np.array([0.0, 5.0, 10.0]), 5.0, 10.0, 60.0).round(6).tolist()
        [1.0, 0.4, 1.0]
    """
    if not 0.0 < percent < 100.0:
        raise ValueError(f"expected a diameter stenosis between 0 and 100 %, found {percent}")
    if length_mm <= 0.0:
        raise ValueError(f"expected a positive lesion length in mm, found {length_mm}")
    from_centre = np.clip(np.abs(arc_mm - centre_mm) / (0.5 * length_mm), 0.0, 1.0)
    return 1.0 - percent / 100.0 * 0.5 * (1.0 + np.cos(np.pi * from_centre))


def narrow(branch: Branch, branch_index: int, sample: int, length_mm: float, percent: float) -> PlacedLesion:
    """Narrow a branch in place by a stenosis centred on a sample and return the lesion.

    Raises:
        ValueError: when the lesion would reach past the branch's ends, or lies on a part without a segment.
    """
    arc = branch.arc_mm
    centre = float(arc[sample])
    if centre - length_mm / 2 < 0 or centre + length_mm / 2 > arc[-1]:
        raise ValueError(
            f"expected a lesion within the branch (0 to {arc[-1]:.1f} mm), "
            f"found {centre:.1f} ± {length_mm / 2:.1f} mm"
        )
    segment = next((s for s, start, stop in branch.segments if start <= sample < stop), None)
    if segment is None:
        raise ValueError(f"expected a lesion on a named segment, found none at sample {sample}")
    branch.diameter_mm = branch.diameter_mm * stenosis_profile(arc, centre, length_mm, percent)
    inside = np.flatnonzero(np.abs(arc - centre) <= length_mm / 2)
    lowest = int(inside[np.argmin(branch.diameter_mm[inside])])
    minimum, reference = float(branch.diameter_mm[lowest]), float(branch.reference_diameter_mm[lowest])
    return PlacedLesion(
        branch_index,
        int(inside[0]),
        int(inside[-1]),
        lowest,
        segment,
        100.0 * (1.0 - minimum / reference),
        minimum,
        reference,
        float(length_mm),
    )


def add_lesions(
    rng: np.random.Generator, tree: CoronaryTree, probability: float, percent_range: tuple[float, float]
) -> list[PlacedLesion]:
    """Narrow the tree at random places, in place, and return the lesions.

    With the given probability the tree carries one to three lesions; they do not overlap and lie on named
    segments of at least 1.5 mm.
    """
    if rng.random() >= probability:
        return []
    lesions: list[PlacedLesion] = []
    for _lesion in range(int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1]))):
        for _ in range(_PLACES_TRIED):
            index = int(rng.integers(len(tree.branches)))
            branch = tree.branches[index]
            sample = int(rng.integers(len(branch.points_mm)))
            length, percent = float(rng.uniform(4.0, 22.0)), float(rng.uniform(*percent_range))
            arc = branch.arc_mm
            begin, end = arc[sample] - length / 2, arc[sample] + length / 2
            named = any(s is not None and start <= sample < stop for s, start, stop in branch.segments)
            wide = branch.reference_diameter_mm[sample] >= SMALLEST_LESION_VESSEL_MM
            free = all(
                end + 2 < arc[other.start_index] or begin - 2 > arc[other.stop_index]
                for other in lesions
                if other.branch == index
            )
            if named and wide and free and begin > 1.0 and end < arc[-1] - 1.0:
                lesions.append(narrow(branch, index, sample, length, percent))
                break
    return lesions
