"""A synthetic coronary angiogram with its truth, from one seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from monai_lora_sam.coronary.anatomy import Dominance, SyntaxSegment
from monai_lora_sam.coronary.phantom.growth import grow_tree
from monai_lora_sam.coronary.phantom.implants import draw_implants
from monai_lora_sam.coronary.phantom.lesions import PlacedLesion, add_lesions
from monai_lora_sam.coronary.phantom.masks import project_masks
from monai_lora_sam.coronary.phantom.projection import CArm
from monai_lora_sam.coronary.phantom.scene import ProjectedBranch, paint_angiogram, project_tree
from monai_lora_sam.coronary.phantom.tree import CoronaryTree
from monai_lora_sam.coronary.phantom.weak_filling import draw_weak_filling

#: Usual views of each artery: primary angle (LAO positive), secondary angle (cranial positive), in degrees.
STANDARD_VIEWS: dict[str, tuple[tuple[float, float], ...]] = {
    "left": (
        (-30, -20),
        (-20, -25),
        (0, -30),
        (-10, 40),
        (0, 35),
        (45, 25),
        (30, 30),
        (45, -25),
        (-30, 0),
        (90, 0),
    ),
    "right": ((45, 0), (30, 0), (45, 20), (30, 20), (-30, 0), (0, 30), (20, 25), (90, 0)),
}
_RARE_VIEW = (90, 0)


@dataclass(frozen=True)
class PhantomConfig:
    """Set how phantoms are drawn; a field that is None is drawn at random.

    Attributes:
        image_size: rows and columns of the picture.
        pixel_spacing_range_mm: pixel size at the isocentre for a picture of 512 pixels; scales with the size.
        lesion_probability: chance that a phantom carries lesions at all (one to three).
        stenosis_range_percent: %DS of a lesion.
        photons_range: mean photons per pixel; fewer give more noise.
        mask_minimum_diameter_mm: unnamed branches are in the vessel mask from this diameter on.
        side: "left" or "right".
        dominance: "right", "left" or "co".
        view: primary and secondary angle in degrees.
        background: draw chest, catheter and collimator; without them the beam is even.
        implants: chance that a phantom shows one to three kinds of implants and cables, which are no vessels: sternal
            wires, pacing leads, clips, a catheter away from the ostium, electrodes, stents.
        weak_filling: chance that parts of the tree are filled weakly or late; the masks do not change.
    """

    image_size: int = 512
    pixel_spacing_range_mm: tuple[float, float] = (0.19, 0.29)
    lesion_probability: float = 0.5
    stenosis_range_percent: tuple[float, float] = (30.0, 92.0)
    photons_range: tuple[float, float] = (250.0, 2000.0)
    mask_minimum_diameter_mm: float = 0.9
    side: str | None = None
    dominance: str | None = None
    view: tuple[float, float] | None = None
    background: bool = True
    implants: float = 0.0
    weak_filling: float = 0.0

    def __post_init__(self) -> None:
        if self.image_size < 64:
            raise ValueError(f"expected an image_size of at least 64, found {self.image_size}")
        for name in ("pixel_spacing_range_mm", "stenosis_range_percent", "photons_range"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"expected {name} as 0 < low <= high, found {(low, high)}")
        if self.stenosis_range_percent[1] >= 100:
            raise ValueError(f"expected stenoses below 100 %, found {self.stenosis_range_percent}")
        for name in ("lesion_probability", "implants", "weak_filling"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"expected {name} as a probability from 0 to 1, found {getattr(self, name)}")
        if self.side not in (None, "left", "right"):
            raise ValueError(f"expected side 'left' or 'right', found {self.side!r}")
        if self.dominance is not None:
            Dominance(self.dominance)


#: Phantoms to measure stenoses on: each has some, of all degrees, at all spacings and noise levels.
MEASUREMENT_CONFIG = PhantomConfig(
    lesion_probability=1.0,
    stenosis_range_percent=(20.0, 95.0),
    pixel_spacing_range_mm=(0.15, 0.40),
    photons_range=(100.0, 4000.0),
)


@dataclass(frozen=True)
class Centreline:
    """The truth along one segment, from its proximal to its distal end.

    Attributes:
        segment: the SYNTAX segment.
        points_rc_px: (N, 2) row and column in pixels; pixel centres have whole coordinates.
        depth_mm: (N,) distance from the source along the central ray.
        diameter_mm: (N,) lumen diameter, lesions included.
        reference_diameter_mm: (N,) the same without lesions.
        diameter_px: (N,) diameter_mm · source-detector distance / depth / imager spacing.
    """

    segment: SyntaxSegment
    points_rc_px: np.ndarray
    depth_mm: np.ndarray
    diameter_mm: np.ndarray
    reference_diameter_mm: np.ndarray
    diameter_px: np.ndarray


@dataclass(frozen=True)
class Lesion:
    """The truth about one stenosis; `box_rc_px` is (row, column) of the top left and bottom right corner."""

    segment: SyntaxSegment
    percent_diameter_stenosis: float
    minimum_lumen_diameter_mm: float
    minimum_lumen_diameter_px: float
    reference_diameter_mm: float
    length_mm: float
    centre_rc_px: tuple[float, float]
    box_rc_px: tuple[float, float, float, float]


@dataclass(frozen=True)
class Phantom:
    """A synthetic angiogram and everything that is true about it.

    Attributes:
        image: (H, W) uint8.
        vessel_mask: (H, W) bool.
        segment_mask: (H, W) uint8, ARCADE category ids, 0 = none.
        centrelines: one per named segment, parents first.
        lesions: the stenoses.
        view: primary and secondary angle in degrees (DICOM's signs).
        pixel_spacing_mm: at the isocentre.
        side, dominance, seed: as drawn.
    """

    image: np.ndarray
    vessel_mask: np.ndarray
    segment_mask: np.ndarray
    centrelines: list[Centreline]
    lesions: list[Lesion]
    view: tuple[float, float]
    pixel_spacing_mm: float
    side: str
    dominance: Dominance
    seed: int
    arm: CArm = field(repr=False)


def generate_phantom(seed: int, config: PhantomConfig | None = None) -> Phantom:
    """Draw the phantom that belongs to a seed; the same seed and configuration give the same bytes.

    Args:
        seed: any integer from 0 on.
        config: settings of the drawing; the shipped model was trained on the default.

    Raises:
        ValueError: for a negative seed.

    Example:
        >>> phantom = generate_phantom(7)
        >>> phantom.image.shape, phantom.vessel_mask.dtype
        ((512, 512), dtype('bool'))
    """
    if seed < 0:
        raise ValueError(f"expected a seed from 0 on, found {seed}")
    config = config or PhantomConfig()
    rng = np.random.default_rng(seed)
    side = config.side or str(rng.choice(["left", "right"], p=[0.62, 0.38]))
    dominance = Dominance(config.dominance or str(rng.choice(["right", "left", "co"], p=[0.8, 0.1, 0.1])))
    tree = grow_tree(rng, side, dominance)
    placed = add_lesions(rng, tree, config.lesion_probability, config.stenosis_range_percent)
    arm = draw_arm(rng, side, config)
    branches, offset = project_tree(rng, tree, arm)
    weakness, implants = draw_disturbances(seed, config, tree, branches, arm)
    image, seen = paint_angiogram(
        rng, tree, branches, arm, offset, config.photons_range, config.background, weakness, implants
    )
    vessel_mask, segment_mask = project_masks(branches, seen, config.mask_minimum_diameter_mm)
    return Phantom(
        image,
        vessel_mask,
        segment_mask,
        project_centrelines(tree, branches),
        [project_lesion(lesion, branches[lesion.branch]) for lesion in placed],
        (arm.primary_deg, arm.secondary_deg),
        arm.pixel_spacing_mm,
        side,
        dominance,
        seed,
        arm,
    )


def draw_disturbances(
    seed: int,
    config: PhantomConfig,
    tree: CoronaryTree,
    branches: Sequence[ProjectedBranch],
    arm: CArm,
) -> tuple[list[np.ndarray] | None, np.ndarray | None]:
    """Draw weak filling and implants, as far as the configuration asks for them.

    They have a generator of their own, so that everything else about a seed's phantom stays as it is.

    Returns:
        The factors of :func:`draw_weak_filling` and the attenuation of :func:`draw_implants`, or None.
    """
    rng = np.random.default_rng([seed, 5])
    weak, implanted = rng.random(2) < (config.weak_filling, config.implants)
    weakness = draw_weak_filling(rng, tree) if weak else None
    vessels = [(item.points_rc_px, item.radius_px) for item in branches if item.branch.labelled]
    implants = draw_implants(rng, arm.shape, arm.pixel_spacing_mm, vessels) if implanted else None
    return weakness, implants


def draw_arm(rng: np.random.Generator, side: str, config: PhantomConfig) -> CArm:
    """Draw a view and its distances at random, as far as the configuration leaves them open."""
    views = STANDARD_VIEWS[side]
    chances = np.array([0.25 if view == _RARE_VIEW else 1.0 for view in views])
    centre = views[int(rng.choice(len(views), p=chances / chances.sum()))]
    jitter = rng.normal(0, 5, 2)
    primary, secondary = config.view or (round(centre[0] + jitter[0], 1), round(centre[1] + jitter[1], 1))
    source_detector, source_patient = rng.uniform(950, 1200), rng.uniform(700, 800)
    spacing = rng.uniform(*config.pixel_spacing_range_mm) * 512 / config.image_size
    return CArm(
        float(primary),
        float(secondary),
        float(source_detector),
        float(source_patient),
        float(spacing * source_detector / source_patient),
        (config.image_size, config.image_size),
    )


def project_centrelines(tree: CoronaryTree, branches: list[ProjectedBranch]) -> list[Centreline]:
    """Return the named segments' centrelines in the picture."""
    lines = []
    for branch, projected in zip(tree.branches, branches, strict=True):
        for segment, start, stop in branch.segments:
            if segment is None:
                continue
            part = slice(
                start, min(stop + 1, len(branch.points_mm))
            )  # segments of one vessel share their border
            lines.append(
                Centreline(
                    segment,
                    projected.points_rc_px[part],
                    projected.depth_mm[part],
                    branch.diameter_mm[part],
                    branch.reference_diameter_mm[part],
                    2 * projected.radius_px[part],
                )
            )
    return lines


def project_lesion(lesion: PlacedLesion, projected: ProjectedBranch) -> Lesion:
    """Return a stenosis as the picture has it."""
    part = slice(lesion.start_index, lesion.stop_index + 1)
    points = projected.points_rc_px[part]
    reference_px = projected.radius_px[part] * (
        projected.branch.reference_diameter_mm[part] / projected.branch.diameter_mm[part]
    )
    low = (points - reference_px[:, None]).min(axis=0)
    high = (points + reference_px[:, None]).max(axis=0)
    row, column = projected.points_rc_px[lesion.minimum_index]
    return Lesion(
        lesion.segment,
        lesion.percent_diameter_stenosis,
        lesion.minimum_lumen_diameter_mm,
        float(2 * projected.radius_px[lesion.minimum_index]),
        lesion.reference_diameter_mm,
        lesion.length_mm,
        (float(row), float(column)),
        (float(low[0]), float(low[1]), float(high[0]), float(high[1])),
    )
