"""Short stretches of a vessel over which another one lies without the tree showing it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monai_lora_sam.coronary.qca.paths import SPACING_PX
from monai_lora_sam.coronary.qca.profile import DIAMETER_SIGMA_PX, VesselProfile
from monai_lora_sam.coronary.qca.reference import SideBranch
from monai_lora_sam.coronary.qca.runs import runs
from monai_lora_sam.coronary.qca.smoothing import smooth

WIDER = 1.3  # times its reference a vessel is no wider
FLANK = 1.12  # where it is, all above this is left out
LONGEST_DIAMETERS = 5.0  # a longer stretch is the vessel itself
BEHIND_PX = 6.0  # where the vessel shows how wide it goes on
DAUGHTER = 0.7  # diameter of a branch that may be hidden there, over the vessel's own behind it


def without_overlaps(profile: VesselProfile) -> VesselProfile:
    """Leave out where a vessel with a reference line is far wider than that for a short stretch."""
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.where(profile.is_measured, profile.diameter_px / profile.reference_px, 1.0)
    overlapped = np.zeros(len(relative), dtype=bool)
    for begin, end in runs(relative > FLANK):
        longest = LONGEST_DIAMETERS * profile.reference_px[begin] / SPACING_PX
        if relative[begin:end].max() > WIDER and end - begin < longest:
            overlapped[begin:end] = True
    measured = profile.is_measured & ~overlapped
    if not overlapped.any() or not measured.any():
        return profile
    smoothed = np.maximum(smooth(profile.diameter_px, measured, DIAMETER_SIGMA_PX / SPACING_PX), 0.0)
    return replace(profile, is_measured=measured, smoothed_px=smoothed, overlapped=overlapped)


def hidden_branches(profile: VesselProfile) -> list[SideBranch]:
    """Return a side branch for each overlap: what lies over the vessel may hide where it gives one off."""
    branches = []
    for begin, end in runs(profile.overlapped):
        behind = min(end + int(BEHIND_PX / SPACING_PX), len(profile.overlapped) - 1)
        if np.isfinite(profile.diameter_px[behind]):
            width = DAUGHTER * float(profile.diameter_px[behind])
            branches.append(SideBranch(float(profile.arc_length_px[(begin + end) // 2]), width))
    return branches
