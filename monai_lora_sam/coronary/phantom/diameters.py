"""Normal lumen diameters, taper and Murray's law.

Published means and standard deviations (Dodge et al., Circulation 1992;86:232-246, angiograms without
disease): left main 4.5 ± 0.5 mm, proximal LAD 3.7 ± 0.4 and distal LAD 1.9 ± 0.4 under either dominance,
proximal RCA 3.9 ± 0.6 (right dominant) and 2.8 ± 0.5 (left dominant), proximal LCX 3.4 ± 0.5 and 4.2 ± 0.6.
The left main is not drawn: Murray's law gives it from the LAD and the circumflex. The side branches are
working values of this model, limited by Murray's law at the branch they leave.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq

from monai_lora_sam.coronary.anatomy import Dominance, SyntaxSegment

S = SyntaxSegment
_R, _L, _C = Dominance.RIGHT, Dominance.LEFT, Dominance.CO

#: Mean and standard deviation in mm of the published diameters; co-dominance lies between the measured ones.
PUBLISHED_DIAMETER_MM: dict[tuple[SyntaxSegment, Dominance], tuple[float, float]] = {
    **{(S.LEFT_MAIN, dominance): (4.5, 0.5) for dominance in Dominance},
    **{(S.LAD_PROXIMAL, dominance): (3.7, 0.4) for dominance in Dominance},
    **{(S.LAD_APICAL, dominance): (1.9, 0.4) for dominance in Dominance},
    (S.LCX_PROXIMAL, _R): (3.4, 0.5),
    (S.LCX_PROXIMAL, _L): (4.2, 0.6),
    (S.LCX_PROXIMAL, _C): (3.8, 0.5),
    (S.RCA_PROXIMAL, _R): (3.9, 0.6),
    (S.RCA_PROXIMAL, _L): (2.8, 0.5),
    (S.RCA_PROXIMAL, _C): (3.4, 0.5),
}

#: Working values in mm (mean, standard deviation) for the origin of branches; not published ones.
BRANCH_DIAMETER_MM: dict[SyntaxSegment, tuple[float, float]] = {
    S.FIRST_DIAGONAL: (2.1, 0.4),
    S.FIRST_DIAGONAL_A: (1.7, 0.3),
    S.SECOND_DIAGONAL: (1.7, 0.3),
    S.SECOND_DIAGONAL_A: (1.4, 0.2),
    S.INTERMEDIATE: (2.2, 0.4),
    S.OBTUSE_MARGINAL_A: (2.2, 0.4),
    S.OBTUSE_MARGINAL_B: (2.0, 0.4),
    S.LEFT_POSTEROLATERAL: (2.0, 0.4),
    S.LEFT_POSTEROLATERAL_A: (1.7, 0.3),
    S.LEFT_POSTEROLATERAL_B: (1.6, 0.3),
    S.LEFT_POSTERIOR_DESCENDING: (2.0, 0.4),
    S.RIGHT_POSTERIOR_DESCENDING: (2.1, 0.4),
    S.RIGHT_POSTEROLATERAL_A: (1.7, 0.3),
    S.RIGHT_POSTEROLATERAL_B: (1.5, 0.3),
    S.RIGHT_POSTEROLATERAL_C: (1.4, 0.2),
}

#: Right ventricular and acute marginal branches, which have no SYNTAX name.
UNNAMED_BRANCH_DIAMETER_MM = (1.2, 0.25)

#: A side branch is at most this part of its parent's diameter, so that Murray's law leaves a main vessel.
LARGEST_BRANCH_FRACTION = 0.87

#: Each vessel keeps at least this much taper per mm, the flow lost to branches too small to draw.
_SMALLEST_TAPER_PER_MM = 5e-4


def murray_parent_mm(daughters_mm: Sequence[float]) -> float:
    """Return the parent's diameter under Murray's law, d_p³ = Σ d_i³ (Murray, PNAS 1926;12:207-214).

    Example:
        >>> round(murray_parent_mm([3.7, 3.4]), 2)
        4.48
    """
    return float(np.sum(np.power(daughters_mm, 3.0)) ** (1 / 3))


def murray_daughter_mm(parent_mm: float, other_mm: float) -> float:
    """Return the second daughter's diameter under Murray's law, d_2 = (d_p³ − d_1³)^(1/3).

    Raises:
        ValueError: when the first daughter is as wide as the parent or wider.
    """
    if other_mm >= parent_mm:
        raise ValueError(
            f"expected a daughter narrower than its parent ({parent_mm} mm), found {other_mm} mm"
        )
    return float((parent_mm**3 - other_mm**3) ** (1 / 3))


def draw_diameter_mm(rng: np.random.Generator, mean: float, deviation: float) -> float:
    """Draw a diameter in mm, within two standard deviations of the mean."""
    return float(mean + deviation * np.clip(rng.standard_normal(), -2.0, 2.0))


def vessel_diameters(
    arc_mm: np.ndarray,
    start_mm: float,
    end_mm: float,
    branch_indices: Sequence[int],
    branch_mm: Sequence[float],
    start_index: int = 0,
) -> tuple[np.ndarray, list[float]]:
    """Return the diameter along a vessel and the diameter of each branch at its origin.

    The vessel tapers exponentially between bifurcations and steps down by Murray's law at each; the step is
    spread over one parent diameter of length behind the bifurcation, where the lumens separate. The taper is
    the one that ends at `end_mm`.

    Args:
        arc_mm: (N,) arc length from the vessel's origin.
        start_mm: diameter at `start_index`, the vessel's origin unless told.
        end_mm: diameter at the end.
        branch_indices: increasing sample indices of the bifurcations.
        branch_mm: diameters wished for the branches; limited to a part of the parent's.
        start_index: a sample not behind the first bifurcation.

    Returns:
        (N,) diameters in mm and the branches' diameters in mm.
    """

    def forward(taper: float) -> tuple[np.ndarray, list[float]]:
        steps = np.zeros_like(arc_mm)  # the logarithm of the step at each bifurcation, spread over its length
        lost, branches = 0.0, []
        origin = start_mm * np.exp(taper * arc_mm[start_index])
        for index, wished in zip(branch_indices, branch_mm, strict=True):
            parent = origin * np.exp(-taper * arc_mm[index] - lost)
            branch = min(wished, LARGEST_BRANCH_FRACTION * parent)
            step = float(np.log(parent / murray_daughter_mm(parent, branch)))
            branches.append(float(branch))
            steps += step * np.clip((arc_mm - arc_mm[index]) / parent, 0.0, 1.0)
            lost += step
        return origin * np.exp(-taper * arc_mm - steps), branches

    def miss(taper: float) -> float:
        return float(forward(taper)[0][-1] - end_mm)

    low, high = _SMALLEST_TAPER_PER_MM, 0.2
    taper = low if miss(low) <= 0 else float(brentq(miss, low, high, xtol=1e-7))
    return forward(taper)
