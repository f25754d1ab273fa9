"""The figures of a whole tree as plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from monai_lora_sam.coronary.qca.diameter import DiameterProfile
from monai_lora_sam.coronary.vessel_tree import VesselTree


def summarise_tree(tree: VesselTree, profiles: Sequence[DiameterProfile]) -> dict[str, Any]:
    """Summarise a tree and its diameters as a dictionary that JSON can hold.

    Minimum, median and maximum are taken where the diameter belongs to the branch alone
    (`DiameterProfile.is_measured`), and are None where no such point exists. Fields in mm are there only
    when the profiles have a pixel spacing.

    Args:
        tree: the tree.
        profiles: one per branch, in the order of `tree.branches`.

    Raises:
        ValueError: the profiles are not those of the branches, in their order.

    Example:
        >>> summarise_tree(tree, profiles)["branches"][0]["median_diameter_px"]
    """
    expected, found = [branch.id for branch in tree.branches], [profile.branch_id for profile in profiles]
    if expected != found:
        raise ValueError(f"expected the profiles of the branches {expected}, found those of {found}")
    spacings = {profile.pixel_spacing_mm for profile in profiles}
    if len(spacings) > 1:
        raise ValueError(f"expected one pixel spacing in all profiles, found {sorted(map(str, spacings))}")
    spacing = spacings.pop() if spacings else None
    height, width = tree.shape
    summary: dict[str, Any] = {
        "area_px": tree.area_px,
        "area_fraction": tree.area_px / (height * width),
        "components": tree.components,
        "bifurcations": sum(node.kind == "bifurcation" for node in tree.nodes),
        "centreline_length_px": _rounded(tree.centreline_length_px),
    }
    if spacing is not None:
        summary["centreline_length_mm"] = _rounded(tree.centreline_length_px * spacing)
    summary["branches"] = [_branch(profile) for profile in profiles]
    return summary


def _branch(profile: DiameterProfile) -> dict[str, Any]:
    spacing = profile.pixel_spacing_mm
    units = {"px": 1.0} if spacing is None else {"px": 1.0, "mm": spacing}
    measured = profile.diameter_px[profile.is_measured]
    row_middle, column_middle = profile.centreline_rc[len(profile.centreline_rc) // 2]
    row: dict[str, Any] = {
        "id": profile.branch_id,
        "middle_xy": [_rounded(column_middle), _rounded(row_middle)],
    }
    for unit, scale in units.items():
        row[f"length_{unit}"] = _rounded(profile.arc_length_px[-1] * scale)
    for name, figure in (("minimum", np.min), ("median", np.median), ("maximum", np.max)):
        for unit, scale in units.items():
            row[f"{name}_diameter_{unit}"] = _rounded(figure(measured) * scale) if len(measured) else None
    diameters = np.where(profile.is_measured, profile.diameter_px, np.nan)
    row["profile"] = {
        "arc_length_px": [_rounded(value) for value in profile.arc_length_px],
        "diameter_px": [_rounded(value) for value in diameters],
    }
    return row


def _rounded(value: float) -> float | None:
    return round(float(value), 3) if np.isfinite(value) else None
