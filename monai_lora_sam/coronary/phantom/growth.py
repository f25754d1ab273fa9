"""Grow a random coronary tree from its plan: centrelines, diameters, twigs."""

from __future__ import annotations

import numpy as np

from monai_lora_sam.coronary.anatomy import Dominance, SyntaxSegment
from monai_lora_sam.coronary.phantom.diameters import (
    BRANCH_DIAMETER_MM,
    PUBLISHED_DIAMETER_MM,
    UNNAMED_BRANCH_DIAMETER_MM,
    draw_diameter_mm,
    murray_parent_mm,
    vessel_diameters,
)
from monai_lora_sam.coronary.phantom.heart import (
    SAMPLE_STEP_MM,
    Heart,
    draw_heart,
    smooth_path,
    unit,
)
from monai_lora_sam.coronary.phantom.plan import Offshoot, Trunk, plan_left, plan_right
from monai_lora_sam.coronary.phantom.tree import Branch, CoronaryTree
from monai_lora_sam.coronary.polyline import Polyline

S = SyntaxSegment

#: A main vessel's segment has at least so many samples (0.4 mm each).
_SHORTEST_SEGMENT = 10


def grow_tree(rng: np.random.Generator, side: str, dominance: Dominance) -> CoronaryTree:
    """Grow the left or right coronary tree.

    Args:
        rng: source of all randomness.
        side: "left" or "right".
        dominance: which artery supplies the posterior wall.

    Returns:
        The tree without lesions, its heart centred on the origin of the patient's coordinates.
    """
    heart = draw_heart(rng)
    plan = plan_left if side == "left" else plan_right
    trunks = plan(rng, heart, dominance)
    tortuosity = rng.gamma(2.0, 0.45)
    branches: list[Branch] = []
    index_of: dict[str, int] = {}
    wished: dict[str, float] = {}
    for trunk in trunks:
        _grow_trunk(rng, heart, trunk, trunks, branches, index_of, wished, dominance, tortuosity)
    _add_twigs(rng, heart, branches, tortuosity)
    root = branches[0].points_mm
    return CoronaryTree(branches, side, dominance, heart, root[0].copy(), unit(root[8] - root[0]))


def _draw_branch_diameter(
    rng: np.random.Generator, segment: SyntaxSegment | None, dominance: Dominance
) -> float:
    if segment is None:
        return draw_diameter_mm(rng, *UNNAMED_BRANCH_DIAMETER_MM)
    published = PUBLISHED_DIAMETER_MM.get((segment, dominance))
    return draw_diameter_mm(rng, *(published or BRANCH_DIAMETER_MM[segment]))


def _grow_trunk(
    rng: np.random.Generator,
    heart: Heart,
    trunk: Trunk,
    trunks: list[Trunk],
    branches: list[Branch],
    index_of: dict[str, int],
    wished: dict[str, float],
    dominance: Dominance,
    tortuosity: float,
) -> None:
    control = trunk.control_mm
    parent = None
    if trunk.parent is not None:
        parent_index = index_of[trunk.parent]
        stem = branches[parent_index].points_mm
        sample = round(trunk.leaves_at * (len(stem) - 1))
        control = np.concatenate([[stem[sample]], control[1:]])
        parent = (parent_index, sample)
    path = smooth_path(rng, control, jitter_mm=1.5, tortuosity_mm=0.7 * tortuosity, wavelength_mm=38.0)
    count = len(path)

    # The circumflex leaves the left main's trunk like any other branch, so it counts in Murray's law there.
    leaving: list[tuple[str, SyntaxSegment | None, float]]
    leaving = [(o.key, o.segment, o.leaves_at) for o in trunk.offshoots]
    leaving += [(t.key, t.segments[0][0], t.leaves_at) for t in trunks if t.parent == trunk.key]
    leaving.sort(key=lambda item: item[2])
    samples = [min(round(at * (count - 1)), count - 8) for _, _, at in leaving]
    asked = [_draw_branch_diameter(rng, segment, dominance) for _, segment, _ in leaving]
    first = 0
    if trunk.key in wished:
        start = wished[trunk.key]
    elif trunk.key == "lad":  # the left main is as wide at its fork as Murray's law asks
        fork = {
            key: width for (key, _, _), width in zip(leaving, asked, strict=True) if key in ("lcx", "ramus")
        }
        start = murray_parent_mm([_draw_branch_diameter(rng, S.LAD_PROXIMAL, dominance), *fork.values()])
        first = samples[0]
    else:
        start = _draw_branch_diameter(rng, trunk.segments[0][0], dominance)
    end = min(draw_diameter_mm(rng, *trunk.end_diameter_mm), 0.9 * start)
    diameter, given = vessel_diameters(Polyline(path).arc_length, start, end, samples, asked, first)
    segments: list[tuple[SyntaxSegment | None, int, int]] = []
    begin = 0
    for segment, until in trunk.segments:
        stop = count if until >= 1.0 else round(until * (count - 1))
        if stop - begin >= _SHORTEST_SEGMENT:
            segments.append((segment, begin, stop))
        elif stop > begin:  # too short to name: the segment before goes on to its end
            segments[-1] = (*segments[-1][:2], stop)
        begin = max(begin, stop)
    index_of[trunk.key] = len(branches)
    branches.append(Branch(path, diameter.copy(), diameter, segments, parent))
    wished.update({key: width for (key, _, _), width in zip(leaving, given, strict=True)})
    own_index = index_of[trunk.key]
    where = dict(zip([key for key, _, _ in leaving], samples, strict=True))
    for offshoot in trunk.offshoots:
        sample = where[offshoot.key]
        branches.append(
            _grow_offshoot(rng, heart, offshoot, path[sample], (own_index, sample), wished, tortuosity)
        )


def _grow_offshoot(
    rng: np.random.Generator,
    heart: Heart,
    offshoot: Offshoot,
    origin: np.ndarray,
    parent: tuple[int, int],
    wished: dict[str, float],
    tortuosity: float,
) -> Branch:
    control = np.concatenate([[origin], [heart.surface(lat, lon) for lat, lon in offshoot.course]])
    path = smooth_path(rng, control, jitter_mm=2.0, tortuosity_mm=tortuosity, wavelength_mm=24.0)
    start = wished[offshoot.key]
    end = start * rng.uniform(0.45, 0.75)
    diameter, _ = vessel_diameters(Polyline(path).arc_length, start, end, [], [])
    return Branch(path, diameter.copy(), diameter, [(offshoot.segment, 0, len(path))], parent)


def _add_twigs(rng: np.random.Generator, heart: Heart, branches: list[Branch], tortuosity: float) -> None:
    """Add septals and small side branches without names to the branches that are there."""
    density = rng.uniform(0.4, 2.2)
    stems = list(enumerate(branches))
    for index, stem in stems:
        length = stem.arc_mm[-1]
        for _ in range(rng.poisson(density * length / 13.0)):
            sample = int(rng.integers(int(0.12 * len(stem.points_mm)), len(stem.points_mm) - 4))
            width = min(0.4 + rng.exponential(0.22), 1.1, 0.7 * float(stem.reference_diameter_mm[sample]))
            septal = stem.segments[0][0] is S.LEFT_MAIN and rng.random() < 0.5
            path = _wander(
                rng, heart, stem.points_mm, sample, septal, tortuosity, rng.uniform(9, 20) * (0.6 + width)
            )
            diameter = np.linspace(width, 0.45 * width, len(path))
            branches.append(Branch(path, diameter.copy(), diameter, [(None, 0, len(path))], (index, sample)))


def _wander(
    rng: np.random.Generator,
    heart: Heart,
    stem: np.ndarray,
    sample: int,
    septal: bool,
    tortuosity: float,
    length_mm: float,
) -> np.ndarray:
    """Return the path (N, 3) of a twig: along the heart's surface, or for a septal into the septum."""
    origin = stem[sample]
    forward = unit(stem[sample + 3] - stem[sample - 3])
    outward = unit(origin - heart.apex_axis * (origin @ heart.apex_axis))
    sideways = np.cross(forward, outward) * rng.choice([-1.0, 1.0])
    heading = unit(0.5 * forward - outward) if septal else unit(0.6 * forward + sideways)
    count = max(int(length_mm / SAMPLE_STEP_MM), 8)
    turns = np.cumsum(rng.normal(0, 0.07 + 0.05 * tortuosity, (count, 3)), axis=0)
    turns -= 0.1 * np.cumsum(turns, axis=0) * (1.0 / count)
    steps = unit(
        heading + turns + (0.0 if septal else 0.6 * np.linspace(0, 1, count)[:, None] * heart.apex_axis)
    )
    return origin + np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)]) * SAMPLE_STEP_MM
