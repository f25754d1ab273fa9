"""The SYNTAX score: how complex coronary disease is, from where its stenoses are and how tight."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from monai_lora_sam.coronary.anatomy import Dominance, SyntaxSegment, exists_in, syntax_from_arcade_id
from monai_lora_sam.coronary.qca.junctions import check_anatomy
from monai_lora_sam.coronary.qca.lesion import ONE_LESION_DIAMETERS, Lesion, percent_narrowed, segment_at
from monai_lora_sam.coronary.qca.paths import SPACING_PX
from monai_lora_sam.coronary.qca.profile import VesselProfile
from monai_lora_sam.coronary.qca.result import QcaResult
from monai_lora_sam.coronary.qca.stenosis import Stenosis
from monai_lora_sam.coronary.qca.vessels import SHORTEST_PX

LEAST_PERCENT = 50.0  # of diameter stenosis; shallower ones do not count
LEAST_VESSEL_MM = 1.5  # reference diameter; narrower vessels do not count
STENOSED, OCCLUDED = 2.0, 5.0  # factors on a segment's points

_RIGHT_POINTS: dict[str, float] = {
    **dict.fromkeys(("1", "2", "3", "4", "8", "9", "9a", "12", "12a", "12b"), 1.0),
    **dict.fromkeys(("10", "10a", "13", "14", "14a", "14b", "16", "16a", "16b", "16c"), 0.5),
    **{"5": 5.0, "6": 3.5, "7": 2.5, "11": 1.5},
}
_LEFT_POINTS: dict[str, float] = {
    **dict.fromkeys(("1", "2", "3"), 0.0),
    **dict.fromkeys(("8", "9", "9a", "12", "12a", "12b", "14", "14a", "14b", "15"), 1.0),
    **dict.fromkeys(("10", "10a"), 0.5),
    **{"5": 6.0, "6": 3.5, "7": 2.5, "11": 2.5, "13": 1.5},
}
_TABLE = {Dominance.RIGHT: _RIGHT_POINTS, Dominance.LEFT: _LEFT_POINTS}
_SIDE_BRANCHES = {"none": 0.0, "below_1.5_mm": 1.0, "below_and_above_1.5_mm": 1.0}


class UnsupportedScore(ValueError):
    """Say that a score would need points or facts that are not known."""


@dataclass(frozen=True)
class AdverseCharacteristics:
    """Hold a reader's findings about one lesion; nothing of them is measured here.

    Attributes:
        occlusion_age: of a total occlusion, ``"above_3_months"``, ``"below_3_months"`` or ``"unknown"``, which counts
            like the first; None where there is no occlusion.
        blunt_stump, bridging_collaterals: of a total occlusion.
        unseen_segments: how many segments beyond a total occlusion no contrast reaches.
        side_branch: at a total occlusion, ``"none"``, ``"below_1.5_mm"`` or ``"below_and_above_1.5_mm"``.
        trifurcation_segments: diseased segments at a trifurcation, 0 (no trifurcation) to 4.
        medina: main proximal, main distal, side branch, each 0 or 1; None where there is no bifurcation.
        angulation_below_70_degrees: of the bifurcation.
        aorto_ostial, severe_tortuosity, longer_than_20_mm, heavy_calcification, thrombus: of the lesion. The
            length counts where the lumen is narrowed by half and more, so that it is not the measured one.
    """

    occlusion_age: str | None = None
    blunt_stump: bool = False
    bridging_collaterals: bool = False
    unseen_segments: int = 0
    side_branch: str = "none"
    trifurcation_segments: int = 0
    medina: tuple[int, int, int] | None = None
    angulation_below_70_degrees: bool = False
    aorto_ostial: bool = False
    severe_tortuosity: bool = False
    longer_than_20_mm: bool = False
    heavy_calcification: bool = False
    thrombus: bool = False

    def __post_init__(self) -> None:
        if self.occlusion_age not in (None, "above_3_months", "below_3_months", "unknown"):
            raise ValueError(
                "expected an occlusion_age of above_3_months, below_3_months or unknown, "
                f"found {self.occlusion_age!r}"
            )
        if self.side_branch not in _SIDE_BRANCHES:
            raise UnsupportedScore(
                f"expected a side_branch among {', '.join(_SIDE_BRANCHES)}, found {self.side_branch!r}: the "
                "published sources disagree on side branches of 1.5 mm and more alone"
            )
        if self.unseen_segments < 0 or not 0 <= self.trifurcation_segments <= 4:
            raise ValueError(
                "expected unseen_segments from 0 on and trifurcation_segments from 0 to 4, "
                f"found {self.unseen_segments} and {self.trifurcation_segments}"
            )
        if self.medina is not None and (
            len(self.medina) != 3
            or not all(type(part) is int and part in (0, 1) for part in self.medina)
            or not any(self.medina)
        ):
            raise ValueError(f"expected a Medina class as three of 0 and 1, not all 0, found {self.medina}")
        if self.medina is not None and self.trifurcation_segments:
            raise ValueError("expected a bifurcation or a trifurcation, found both for one lesion")
        if self.angulation_below_70_degrees and self.medina is None:
            raise ValueError("expected a Medina class beside the bifurcation's angulation, found none")

    @property
    def of_occlusion(self) -> bool:
        """Whether something is said that only a total occlusion can have."""
        said = self.occlusion_age, self.blunt_stump, self.bridging_collaterals, self.unseen_segments
        return any(said) or self.side_branch != "none"

    def points(self) -> dict[str, float]:
        """Return the points of each characteristic that is there."""
        all_points = {
            "occlusion older than 3 months or of unknown age": float(
                self.occlusion_age in ("above_3_months", "unknown")
            ),
            "blunt stump": float(self.blunt_stump),
            "bridging collaterals": float(self.bridging_collaterals),
            "segments not seen beyond the occlusion": float(self.unseen_segments),
            "side branch at the occlusion": _SIDE_BRANCHES[self.side_branch],
            "trifurcation": self.trifurcation_segments + 2.0 if self.trifurcation_segments else 0.0,
            "bifurcation": 0.0 if self.medina is None else _bifurcation_points(self.medina),
            "bifurcation angulation below 70°": float(self.angulation_below_70_degrees),
            "aorto-ostial": float(self.aorto_ostial),
            "severe tortuosity": 2.0 * self.severe_tortuosity,
            "longer than 20 mm": float(self.longer_than_20_mm),
            "heavy calcification": 2.0 * self.heavy_calcification,
            "thrombus": float(self.thrombus),
        }
        return {name: value for name, value in all_points.items() if value}


def _bifurcation_points(medina: tuple[int, int, int]) -> float:
    """One point where the main vessel alone is diseased (types A to C), two with the side branch (D to G)."""
    return 2.0 if medina[2] else 1.0


@dataclass(frozen=True)
class ScoredLesion:
    """Hold one lesion as the score sees it: the segments narrowed by half or more, and the occluded one if any."""

    segments: tuple[SyntaxSegment, ...]
    occluded: SyntaxSegment | None = None
    adverse: AdverseCharacteristics = field(default_factory=AdverseCharacteristics)

    def __post_init__(self) -> None:
        if not self.segments or not all(isinstance(one, SyntaxSegment) for one in self.segments):
            raise TypeError(f"expected one or more SyntaxSegments, found {self.segments!r}")
        if len(set(self.segments)) < len(self.segments):
            raise ValueError(f"expected each segment of a lesion once, found {self.segments}")
        if self.occluded is not None and self.occluded not in self.segments:
            raise ValueError(f"expected the occluded segment among {self.segments}, found {self.occluded}")
        if self.adverse.of_occlusion and self.occluded is None:
            raise ValueError(
                "expected an occluded segment beside characteristics of an occlusion, found none"
            )


@dataclass(frozen=True)
class SyntaxScore:
    """Hold the score and its parts.

    `rows` has, for each lesion, its `segments` (points by segment, weighted), `adverse` (points by
    characteristic) and `points`; `diffuse_points` are those of diffusely diseased segments.
    """

    total: float
    dominance: Dominance
    rows: tuple[dict[str, Any], ...]
    diffuse_points: float = 0.0


def syntax_score(
    lesions: Iterable[ScoredLesion],
    dominance: Dominance | str,
    diffuse_segments: Sequence[SyntaxSegment] = (),
) -> SyntaxScore:
    """Add up the SYNTAX score of a patient's lesions, of both coronary arteries.

    Each segment's points (more where it supplies more of the left ventricle) count twice where it is narrowed
    by 50 to 99 %, five times where it is occluded; adverse characteristics are added (Sianos et al.,
    EuroIntervention 2005;1:219-227; points as in the SYNTAX score calculator 2, syntaxscore.org). Without the
    adverse characteristics the total is a lower bound.

    Args:
        lesions: of :func:`scored_lesions` of each picture, or as read.
        dominance: right or left; the score knows no co-dominance.
        diffuse_segments: segments that are diffusely diseased or small, one point each.

    Raises:
        UnsupportedScore: for co-dominance.
        ValueError: a lesion that the arteries have no place for: a segment that does not exist under the dominance,
            segments that do not adjoin, or a bifurcation, a trifurcation or an aorto-ostial lesion elsewhere.

    Example:
        >>> syntax_score([ScoredLesion((SyntaxSegment.LAD_PROXIMAL,))], "right").total
        7.0
    """
    dominance = Dominance(dominance)
    if dominance not in _TABLE:
        raise UnsupportedScore(
            "expected right or left dominance, found co-dominance, for which the SYNTAX score has no points"
        )
    rows: list[dict[str, Any]] = []
    for number, lesion in enumerate(lesions, 1):
        try:
            check_anatomy(lesion, dominance)
        except ValueError as error:
            raise ValueError(f"lesion {number}: {error}") from error
        segments = {
            segment.value: segment_points(segment, dominance)
            * (OCCLUDED if segment is lesion.occluded else STENOSED)
            for segment in lesion.segments
        }
        adverse = lesion.adverse.points()
        points = sum(segments.values()) + sum(adverse.values())
        rows.append({"segments": segments, "adverse": adverse, "points": points})
    for segment in diffuse_segments:
        segment_points(segment, dominance)  # for its error
    diffuse = float(len(set(diffuse_segments)))
    total = sum(float(row["points"]) for row in rows) + diffuse
    return SyntaxScore(total, dominance, tuple(rows), diffuse)


def segment_points(segment: SyntaxSegment, dominance: Dominance) -> float:
    """Return the points of a segment under right or left dominance, before any weight."""
    if not exists_in(segment, dominance):
        raise ValueError(f"SYNTAX segment {segment.value} does not exist in {dominance.value} dominance")
    return _TABLE[dominance][segment.value]


def scored_lesions(result: QcaResult) -> list[ScoredLesion]:
    """Return the lesions of a measured picture that count: 50 % and more, in vessels of 1.5 mm and more.

    Stenoses of one vessel less than three reference diameters apart are one lesion. Stenoses beyond a total
    occlusion do not count, and of the occlusion itself only the segment in which it begins.

    Raises:
        UnsupportedScore: without a pixel spacing, or where a stenosis that counts lies on no named segment.
    """
    if result.pixel_spacing_mm is None:
        raise UnsupportedScore(
            f"expected a pixel spacing, found none: only vessels of {LEAST_VESSEL_MM} mm and more count"
        )
    found: list[ScoredLesion] = []
    beyond: dict[int, int] = {}
    for lesion in result.lesions:
        profile = lesion.profile
        counted = [one for one in lesion.stenoses if _counts(one, lesion, result.pixel_spacing_mm)]
        for group in _groups(counted, lesion):
            kept = []
            for one in group:
                if one.begin > beyond.get(profile.vessel_id, len(profile.points_rc)):
                    continue
                kept.append(one)
                # Beyond an occlusion has a meaning only where the direction is known.
                if one.total_occlusion and profile.direction_known:
                    beyond.setdefault(profile.vessel_id, one.end)
            if kept:
                found.append(_scored(kept, lesion))
    return found


def _counts(one: Stenosis, lesion: Lesion, spacing: float) -> bool:
    reference = float(lesion.profile.reference_px[one.minimum])
    percent = percent_narrowed(one.minimum_lumen_diameter_px, reference)
    return percent >= LEAST_PERCENT and reference * spacing >= LEAST_VESSEL_MM


def _groups(stenoses: Sequence[Stenosis], lesion: Lesion) -> list[list[Stenosis]]:
    """Part stenoses again: one that does not count may have been the link between two that do."""
    groups = [[one] for one in stenoses[:1]]
    for before, one in pairwise(stenoses):
        apart = lesion.profile.arc_length_px[one.begin] - lesion.profile.arc_length_px[before.end]
        reference = lesion.profile.reference_px[[before.end, one.begin]].mean()
        if apart < ONE_LESION_DIAMETERS * reference:
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def _scored(stenoses: Sequence[Stenosis], lesion: Lesion) -> ScoredLesion:
    profile = lesion.profile
    segments: list[SyntaxSegment] = []
    occluded = None
    for one in stenoses:
        place = segment_at(profile, one)
        # The lumen's narrowing before an occlusion belongs to it.
        ids = [place] if one.total_occlusion else [place, *_half_narrowed(profile, one)]
        ids = [_id for _id in ids if _id]
        if not ids:
            row, column = profile.points_rc[one.minimum]
            raise UnsupportedScore(
                f"expected a named segment at the stenosis at x={column:.0f}, y={row:.0f}, found none"
            )
        if one.total_occlusion:
            occluded = occluded or syntax_from_arcade_id(place)
        segments += [syntax_from_arcade_id(_id) for _id in dict.fromkeys(ids)]
    return ScoredLesion(tuple(dict.fromkeys(segments)), occluded)


def _half_narrowed(profile: VesselProfile, one: Stenosis) -> list[int]:
    """Return the ARCADE category ids that a stenosis narrows by half and more over a stretch, not in a few points."""
    inside = np.arange(one.begin, one.end + 1)
    with np.errstate(invalid="ignore"):
        half = profile.smoothed_px[inside] <= (1 - LEAST_PERCENT / 100) * profile.reference_px[inside]
    ids, points = np.unique(profile.segment_ids[inside[half]], return_counts=True)
    return [int(_id) for _id, count in zip(ids, points, strict=True) if count * SPACING_PX >= SHORTEST_PX]
