"""Plan the right coronary artery: control points, origins and chances of its branches."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from monai_lora_sam.coronary.anatomy import Dominance, SyntaxSegment
from monai_lora_sam.coronary.phantom.heart import GROOVE_LATITUDE, Heart
from monai_lora_sam.coronary.phantom.plan import Offshoot, Trunk, fractions_along, on_surface

S = SyntaxSegment
G = GROOVE_LATITUDE

Course = list[tuple[float, float]]  # (latitude, longitude) in degrees


class Normal(NamedTuple):
    """Mean and standard deviation of a drawn number."""

    mean: float
    deviation: float

    def draw(self, rng: np.random.Generator) -> float:
        return rng.normal(self.mean, self.deviation)


class Span(NamedTuple):
    """Bounds of a number that is drawn evenly between them, or between them on from another number."""

    low: float
    high: float

    def draw(self, rng: np.random.Generator, start: float = 0.0) -> float:
        return rng.uniform(start + self.low, start + self.high)


class SideBranch(NamedTuple):
    """A posterolateral branch: its place between crux (0) and the vessel's end (1), and how often it is there."""

    key: str
    segment: SyntaxSegment
    position: Span
    chance: float


# Millimetres.
OSTIUM_MM = (
    Normal(-20.0, 2.0),
    Normal(26.0, 2.0),
    Normal(-18.0, 3.0),
)  # lateral, upper, apex axis (Heart.root)
FIRST_BEND_MM = Span(2.0, 7.0)  # how far the vessel bulges between ostium and groove
FIRST_BEND_DIRECTION = (-0.4, -0.8, 0.4)  # to the right, the front and the head
FIRST_BEND_SHARES = (0.55, 0.45)  # of groove and ostium in the point between them that bulges

# Longitudes on the heart's surface, degrees.
GROOVE_START = Normal(148.0, 5.0)
ACUTE_MARGIN = Normal(208.0, 6.0)
CRUX = Normal(256.0, 4.0)
END_FROM_MARGIN = Span(-8.0, 18.0)  # of a small vessel under left dominance
VENTRICULAR_BRANCH_FROM_START = Span(18.0, 36.0)
ACUTE_MARGINAL_FROM_MARGIN = -4.0
DESCENDING_FROM_CRUX = Normal(1.0, 1.5)

# Lengths of courses, degrees on the heart's surface.
GROOVE_WANDER = Normal(0.0, 2.0)  # of latitude
POSTEROLATERAL_REACH = Span(24.0, 48.0)
CODOMINANT_DESCENDING_REACH = Span(35.0, 55.0)
DESCENDING_REACH = Span(38.0, 60.0)
VENTRICULAR_REACH = Span(25.0, 45.0)
POSTEROLATERAL_BRANCH_REACH = Span(20.0, 40.0)
VENTRICULAR_LEAN, POSTEROLATERAL_LEAN = (
    -6.0,
    8.0,
)  # change of longitude from a side branch's origin to its end

# How often a branch is there.
VENTRICULAR_CHANCE, ACUTE_MARGINAL_CHANCE = 0.6, 0.75
POSTEROLATERAL_BRANCHES = (
    SideBranch("16a", S.RIGHT_POSTEROLATERAL_A, Span(0.25, 0.45), 0.3),
    SideBranch("16b", S.RIGHT_POSTEROLATERAL_B, Span(0.5, 0.65), 0.2),
    SideBranch("16c", S.RIGHT_POSTEROLATERAL_C, Span(0.7, 0.8), 0.1),
)

# Mean and deviation of the vessel's last diameter, mm.
END_DIAMETER_MM, SMALL_END_DIAMETER_MM = (1.5, 0.25), (1.3, 0.2)

GROOVE_POINTS = 5


def plan_right(rng: np.random.Generator, heart: Heart, dominance: Dominance) -> list[Trunk]:
    """Plan the right coronary artery with the posterior descending and posterolateral branches it gives."""
    ostium = heart.root((OSTIUM_MM[0].draw(rng), OSTIUM_MM[1].draw(rng), OSTIUM_MM[2].draw(rng)))
    start, margin, crux = GROOVE_START.draw(rng), ACUTE_MARGIN.draw(rng), CRUX.draw(rng)
    last = END_FROM_MARGIN.draw(rng, margin) if dominance is Dominance.LEFT else crux
    first_bend = _first_bend(rng, heart, ostium, start)
    longitudes = np.linspace(start + 8, last, GROOVE_POINTS)
    groove = [(G + GROOVE_WANDER.draw(rng), longitude) for longitude in longitudes]
    beyond = _beyond_crux(rng, crux, dominance)
    control = np.concatenate([[ostium, first_bend], on_surface(heart, groove + beyond)])
    along = fractions_along(control)
    end = float(along[1 + GROOVE_POINTS])  # of the part in the groove: the crux, or the end of a small vessel

    def at_longitude(longitude: float) -> float:
        return float(np.interp(longitude, longitudes, along[2 : 2 + GROOVE_POINTS]))

    segments = _segments(at_longitude(min(margin, last)), end, dominance)
    end_diameter = SMALL_END_DIAMETER_MM if dominance is Dominance.LEFT else END_DIAMETER_MM
    trunk = Trunk("rca", control, segments, end_diameter)
    for key, longitude, chance in (
        ("rv", start + VENTRICULAR_BRANCH_FROM_START.draw(rng), VENTRICULAR_CHANCE),
        ("acute", margin + ACUTE_MARGINAL_FROM_MARGIN, ACUTE_MARGINAL_CHANCE),
    ):
        if longitude < last and rng.random() < chance:
            course = _side_course(longitude, VENTRICULAR_REACH.draw(rng), VENTRICULAR_LEAN)
            trunk.offshoots.append(Offshoot(key, None, "rca", at_longitude(longitude), course))
    if dominance is Dominance.RIGHT:
        trunk.offshoots += _posterior_branches(rng, crux, end, beyond[-1][1])
    return [trunk]


def _first_bend(rng: np.random.Generator, heart: Heart, ostium: np.ndarray, start: float) -> np.ndarray:
    """Return the point (3,) in mm where the vessel bulges on its way from the ostium into the groove."""
    return (
        FIRST_BEND_SHARES[0] * heart.surface(G - 3, start - 4)
        + FIRST_BEND_SHARES[1] * ostium
        + FIRST_BEND_MM.draw(rng) * np.array(FIRST_BEND_DIRECTION)
    )


def _beyond_crux(rng: np.random.Generator, crux: float, dominance: Dominance) -> Course:
    """Return the vessel's course behind the crux: posterolateral, posterior descending, or none."""
    if dominance is Dominance.RIGHT:
        reach = POSTEROLATERAL_REACH.draw(rng)
        return [
            *((G - 1 + 0.1 * part * reach, crux + part * reach) for part in (0.3, 0.65)),
            (G + 0.5 * reach, crux + reach),
        ]
    if dominance is Dominance.CO:
        reach = CODOMINANT_DESCENDING_REACH.draw(rng)
        return [(part * reach, crux + 2) for part in (0.1, 0.4, 0.7, 1.0)]
    return []


def _segments(acute: float, end: float, dominance: Dominance) -> list[tuple[SyntaxSegment, float]]:
    """Return the segments with the fractions of the vessel where they end.

    Args:
        acute: fraction at the acute margin, where segment 2 ends; segment 1 is half of that.
        end: fraction at the end of the groove.
        dominance: which segment goes on behind the crux.
    """
    segments = [(S.RCA_PROXIMAL, 0.5 * acute), (S.RCA_MID, acute)]
    if end > acute + 1e-6:
        segments.append((S.RCA_DISTAL, end))
    if dominance is Dominance.RIGHT:
        segments.append((S.RIGHT_POSTEROLATERAL, 1.0))
    elif dominance is Dominance.CO:
        segments.append((S.RIGHT_POSTERIOR_DESCENDING, 1.0))
    return segments


def _side_course(longitude: float, reach: float, lean: float) -> Course:
    """Return the course of a side branch from the groove over the ventricle."""
    return [(G + part * reach, longitude + lean * part) for part in (0.3, 0.65, 1.0)]


def _posterior_branches(
    rng: np.random.Generator, crux: float, end: float, last_longitude: float
) -> list[Offshoot]:
    """Return the posterior descending artery and the branches of the posterolateral one."""
    reach = DESCENDING_REACH.draw(rng)
    descending = [(part * reach, crux + DESCENDING_FROM_CRUX.draw(rng)) for part in (0.08, 0.35, 0.7, 1.0)]
    offshoots = [Offshoot("pda", S.RIGHT_POSTERIOR_DESCENDING, "rca", end, descending)]
    places = [branch.position.draw(rng) for branch in POSTEROLATERAL_BRANCHES]
    for branch, place in zip(POSTEROLATERAL_BRANCHES, places, strict=True):
        if rng.random() < branch.chance:
            longitude = crux + 0.85 * place * (last_longitude - crux)
            course = _side_course(longitude, POSTEROLATERAL_BRANCH_REACH.draw(rng), POSTEROLATERAL_LEAN)
            offshoots.append(Offshoot(branch.key, branch.segment, "rca", end + place * (1 - end), course))
    return offshoots
