"""A synthetic coronary cine: the phantom's tree beating while contrast runs in and is washed out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from monai_lora_sam.coronary.anatomy import Dominance
from monai_lora_sam.coronary.phantom import background
from monai_lora_sam.coronary.phantom.detector import Display, expose
from monai_lora_sam.coronary.phantom.growth import grow_tree
from monai_lora_sam.coronary.phantom.lesions import PlacedLesion, add_lesions
from monai_lora_sam.coronary.phantom.masks import project_masks
from monai_lora_sam.coronary.phantom.motion import Bolus, HeartMotion, filling_fraction, ostium_distances
from monai_lora_sam.coronary.phantom.phantom import (
    Phantom,
    PhantomConfig,
    draw_arm,
    draw_disturbances,
    project_centrelines,
    project_lesion,
)
from monai_lora_sam.coronary.phantom.projection import CArm
from monai_lora_sam.coronary.phantom.scene import (
    ProjectedBranch,
    devices,
    fill_with_contrast,
    project_branch,
    project_tree,
    vessel_attenuation,
)
from monai_lora_sam.coronary.phantom.tree import CoronaryTree

#: A place counts as filled from this share of its full concentration on.
FILLED = 0.5


@dataclass(frozen=True)
class CineFrame:
    """Hold one frame and its truth.

    Attributes:
        phantom: the frame as a phantom of its own: image, masks of the lumen whether filled or not, centrelines,
            lesions, view.
        filled_mask: (H, W) bool, the part of the vessel mask that contrast fills by half or more.
        time_s: from the first frame.
        phase: of the cardiac cycle, 0 to 1; 0 is the R wave.
        filling: mean contrast over the named segments by length, 0 (none) to 1 (all full).
        motion_px: mean path of the named segments' points during one frame.
    """

    phantom: Phantom
    filled_mask: np.ndarray
    time_s: float
    phase: float
    filling: float
    motion_px: float


@dataclass(frozen=True)
class PhantomCine:
    """A run of frames; `view`, spacing, side, dominance and arm are those of every frame."""

    frames: list[CineFrame]
    frames_per_second: float
    motion: HeartMotion
    bolus: Bolus
    seed: int
    config: PhantomConfig = field(repr=False)

    @property
    def images(self) -> np.ndarray:
        """Return all pictures (N, H, W) uint8."""
        return np.stack([frame.phantom.image for frame in self.frames])

    @property
    def arm(self) -> CArm:
        """Return the C-arm, which stands still."""
        return self.frames[0].phantom.arm


@dataclass
class _Actors:
    """Hold all that moves: the relaxed tree, its lesions, the offset to the isocentre, and how it moves and fills.

    Implants stand still, stents too.
    """

    tree: CoronaryTree
    placed: list[PlacedLesion]
    arm: CArm
    offset_mm: np.ndarray
    motion: HeartMotion
    bolus: Bolus
    distances_mm: list[np.ndarray]
    implants: np.ndarray | None

    def at(self, time_s: float) -> tuple[CoronaryTree, list[np.ndarray]]:
        """Return the tree at a time, with its contrast, and the concentration factors of its branches."""
        heart = self.tree.heart
        factors = [self.bolus.concentration(distance, time_s) for distance in self.distances_mm]
        branches = [
            replace(
                branch,
                points_mm=self.motion.move(branch.points_mm, heart, time_s),
                filling=branch.filling * factor,
            )
            for branch, factor in zip(self.tree.branches, factors, strict=True)
        ]
        ostium = self.motion.move(self.tree.ostium_mm[None], heart, time_s)[0]
        return replace(self.tree, branches=branches, ostium_mm=ostium), factors

    def motion_px(self, time_s: float, frame_s: float) -> float:
        """Return the mean path in pixels of the named points during the frame centred at a time."""
        points = np.concatenate([b.points_mm for b in self.tree.branches if b.labelled])
        before, after = (
            self.arm.project(self.motion.move(points, self.tree.heart, at) + self.offset_mm)[0]
            for at in (time_s - frame_s / 2, time_s + frame_s / 2)
        )
        return float(np.linalg.norm(after - before, axis=1).mean())


def generate_cine(
    seed: int,
    config: PhantomConfig | None = None,
    frames: int = 45,
    frames_per_second: float = 15.0,
    motion: float = 1.0,
) -> PhantomCine:
    """Draw the cine that belongs to a seed; the same arguments give the same bytes.

    It shows the tree, lesions and view of `generate_phantom(seed, config)`, which is relaxed at end diastole. The
    bolus enters after about a tenth of the run, fills the tree, and is washed out in the last quarter.

    Args:
        seed: any integer from 0 on.
        config: settings of the drawing.
        frames: number of frames.
        frames_per_second: frame rate.
        motion: scales the heart's motion; 0 stands still.

    Raises:
        ValueError: a negative seed, fewer than 2 frames, a rate that is not positive, or negative motion.

    Example:
        >>> cine = generate_cine(7, PhantomConfig(image_size=128), frames=6)
        >>> cine.images.shape, cine.frames[0].filling
        ((6, 128, 128), 0.0)
    """
    if seed < 0:
        raise ValueError(f"expected a seed from 0 on, found {seed}")
    if frames < 2:
        raise ValueError(f"expected at least 2 frames, found {frames}")
    if not frames_per_second > 0 or motion < 0:
        raise ValueError(
            f"expected a positive frame rate and motion from 0 on, found {frames_per_second} and {motion}"
        )
    config = config or PhantomConfig()
    actors, side, dominance = _cast(seed, config, frames / frames_per_second, motion)
    painter = _Painter(seed, actors, config, [index / frames_per_second for index in range(frames)])
    drawn = []
    for index, time_s in enumerate(painter.times_s):
        tree, factors = actors.at(time_s)
        branches = [project_branch(branch, actors.arm, actors.offset_mm) for branch in tree.branches]
        vessels, segments = project_masks(branches, painter.seen, config.mask_minimum_diameter_mm)
        phantom = Phantom(
            painter.paint(index, tree, branches),
            vessels,
            segments,
            project_centrelines(tree, branches),
            [project_lesion(lesion, branches[lesion.branch]) for lesion in actors.placed],
            (actors.arm.primary_deg, actors.arm.secondary_deg),
            actors.arm.pixel_spacing_mm,
            side,
            dominance,
            seed,
            actors.arm,
        )
        drawn.append(
            CineFrame(
                phantom,
                _filled_mask(branches, factors, vessels),
                time_s,
                actors.motion.phase(time_s),
                filling_fraction(tree.branches, factors),
                actors.motion_px(time_s, 1 / frames_per_second),
            )
        )
    return PhantomCine(drawn, frames_per_second, actors.motion, actors.bolus, seed, config)


def _cast(seed: int, config: PhantomConfig, run_s: float, motion: float) -> tuple[_Actors, str, Dominance]:
    """Draw the phantom's tree, lesions and view in the order of `generate_phantom`, then motion and bolus."""
    rng = np.random.default_rng(seed)
    side = config.side or str(rng.choice(["left", "right"], p=[0.62, 0.38]))
    dominance = Dominance(config.dominance or str(rng.choice(["right", "left", "co"], p=[0.8, 0.1, 0.1])))
    tree = grow_tree(rng, side, dominance)
    placed = add_lesions(rng, tree, config.lesion_probability, config.stenosis_range_percent)
    arm = draw_arm(rng, side, config)
    branches, offset = project_tree(rng, tree, arm)
    weakness, implants = draw_disturbances(seed, config, tree, branches, arm)
    rng = np.random.default_rng([seed, 1])
    fill_with_contrast(rng, tree, weakness)
    beating = HeartMotion(
        60.0 / rng.uniform(55, 95),
        float(rng.random()),
        motion * rng.uniform(9, 15),
        motion * rng.uniform(0.08, 0.16),
        motion * rng.uniform(4, 12),
    )
    distances = ostium_distances(tree)
    longest = max(
        float(distance[-1])
        for distance, branch in zip(distances, tree.branches, strict=True)
        if branch.labelled
    )
    start = run_s * rng.uniform(0.06, 0.12)
    bolus = Bolus(
        start,
        start + run_s * rng.uniform(0.55, 0.65),
        longest / (run_s * rng.uniform(0.2, 0.3)),
        run_s * rng.uniform(0.03, 0.06),
        run_s * rng.uniform(0.05, 0.12),
    )
    return _Actors(tree, placed, arm, offset, beating, bolus, distances, implants), side, dominance


class _Painter:
    """Paint the frames of one run: chest, exposure and display stay, vessels, catheter and noise change."""

    def __init__(self, seed: int, actors: _Actors, config: PhantomConfig, times_s: list[float]) -> None:
        rng = np.random.default_rng([seed, 2])
        self._seed, self._actors, self.times_s = seed, actors, times_s
        shape = actors.arm.shape
        self._per_mm = rng.uniform(0.055, 0.16)
        self._blur, self._detector_blur = rng.uniform(0.4, 1.2), rng.uniform(0.3, 0.8)
        self._photons = float(np.exp(rng.uniform(*np.log(config.photons_range))))
        self._display = Display.draw(rng)
        self._with_background = config.background
        self._chest, self._passed = np.zeros(shape, np.float32), np.ones(shape, np.float32)
        if config.background:
            self._chest = background.chest(rng, actors.arm, actors.tree.heart, actors.offset_mm)
            self._passed = background.collimator(rng, shape)
        if actors.implants is not None:
            self._chest = self._chest + actors.implants
        self.seen = self._passed >= 0.5
        self._window: tuple[float, float, float] | None = None
        self._window = self._fullest_window()

    def _fullest_window(self) -> tuple[float, float, float]:
        """Return the window of the frame with most contrast, which then holds for the run."""
        fractions = [
            filling_fraction(tree.branches, factors) for tree, factors in map(self._actors.at, self.times_s)
        ]
        index = int(np.argmax(fractions))
        tree, _ = self._actors.at(self.times_s[index])
        branches = [
            project_branch(branch, self._actors.arm, self._actors.offset_mm) for branch in tree.branches
        ]
        return self._display.window(self._display.grey(self._signal(index, tree, branches)), self._passed)

    def _signal(self, index: int, tree: CoronaryTree, branches: list[ProjectedBranch]) -> np.ndarray:
        field = self._chest + self._per_mm * vessel_attenuation(branches, self._actors.arm.shape)
        if self._with_background:
            # The same generator in every frame: the devices are the same, and go where the ostium goes.
            field = field + devices(
                np.random.default_rng([self._seed, 3]),
                tree,
                self._actors.arm,
                self._actors.offset_mm,
                self._per_mm,
                backflow=float(self._actors.bolus.concentration(0.0, self.times_s[index])),
            )
        rng = np.random.default_rng([self._seed, 4, index])
        return expose(rng, field, self._passed, self._blur, self._photons, self._detector_blur)

    def paint(self, index: int, tree: CoronaryTree, branches: list[ProjectedBranch]) -> np.ndarray:
        """Return the picture (H, W) uint8 of a frame."""
        return self._display.show(self._signal(index, tree, branches), self._passed, self._window)


def _filled_mask(
    branches: list[ProjectedBranch], factors: list[np.ndarray], vessel_mask: np.ndarray
) -> np.ndarray:
    filled = np.zeros(vessel_mask.shape, bool)
    for projected, factor in zip(branches, factors, strict=True):
        drawn = projected.drawn
        if drawn is not None:
            filled[drawn.rows, drawn.columns] |= drawn.inside & (factor[drawn.nearest] >= FILLED)
    return filled & vessel_mask
