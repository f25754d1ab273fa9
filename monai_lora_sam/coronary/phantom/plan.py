"""Plan the left coronary artery: control points, origins and chances of its branches."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from monai_lora_sam.coronary.anatomy import Dominance, SyntaxSegment
from monai_lora_sam.coronary.phantom.diameters import PUBLISHED_DIAMETER_MM
from monai_lora_sam.coronary.phantom.heart import GROOVE_LATITUDE, Heart
from monai_lora_sam.coronary.polyline import Polyline

S = SyntaxSegment
G = GROOVE_LATITUDE


@dataclass
class Offshoot:
    """A side branch: where it leaves its parent and the (latitude, longitude) points it runs to."""

    key: str
    segment: SyntaxSegment | None
    parent: str
    leaves_at: float
    course: list[tuple[float, float]]


@dataclass
class Trunk:
    """A main vessel: control points in mm, and the segments it passes with the fractions where they end."""

    key: str
    control_mm: np.ndarray
    segments: list[tuple[SyntaxSegment, float]]
    end_diameter_mm: tuple[float, float]
    parent: str | None = None
    leaves_at: float = 0.0
    offshoots: list[Offshoot] = field(default_factory=list)


def on_surface(heart: Heart, course: list[tuple[float, float]]) -> np.ndarray:
    """Return the points (N, 3) in mm of a course of (latitude, longitude) in degrees."""
    return np.array([heart.surface(latitude, longitude) for latitude, longitude in course])


def fractions_along(control_mm: np.ndarray) -> np.ndarray:
    """Return (N,) how far along the polyline of control points each of them lies, 0 to 1."""
    line = Polyline(control_mm)
    return line.arc_length / line.length


def plan_left(rng: np.random.Generator, heart: Heart, dominance: Dominance) -> list[Trunk]:
    """Plan left main with LAD and the circumflex, their diagonals, marginals and posterior branches."""
    fork = rng.normal(92, 4)
    ostium = heart.root((-8.0 + rng.normal(0, 2), 31.0 + rng.normal(0, 2), -18.0 + rng.normal(0, 3)))
    bifurcation = heart.surface(G - 4, fork) + np.array([0, 0, -2.0])
    middle = 0.5 * (ostium + bifurcation) + np.array([0, 0, rng.normal(1.5, 1.5)])
    groove = rng.normal(107, 4)
    end = rng.choice([72.0, 85.0, 100.0, 115.0], p=[0.15, 0.3, 0.35, 0.2])
    lad: list[tuple[float, float]] = [(6, fork + 7), (24, groove), (45, groove + 3), (65, groove + 2)]
    lad += [(at, groove) for at in np.arange(80, end + 1, 15)]
    lad_control = np.concatenate([[ostium, middle, bifurcation], on_surface(heart, lad)])
    at = fractions_along(lad_control)
    main, septal = at[2], at[2] + rng.uniform(0.13, 0.24)
    half = septal + rng.uniform(0.26, 0.38) * (1 - septal) * 1.35
    trunk = Trunk(
        "lad",
        lad_control,
        [(S.LEFT_MAIN, main), (S.LAD_PROXIMAL, septal), (S.LAD_MID, half), (S.LAD_APICAL, 1.0)],
        PUBLISHED_DIAMETER_MM[S.LAD_APICAL, dominance],
    )

    def diagonal(key: str, segment: SyntaxSegment, leaves: float, lateral: float) -> Offshoot:
        start = 6 + 80 * max(leaves - main, 0) / (1 - main)
        reach = rng.uniform(28, 42)
        course = [(start + f * reach, fork + 8 - lateral * f**0.8) for f in (0.25, 0.55, 0.8, 1.0)]
        return Offshoot(key, segment, "lad", leaves, course)

    first = septal + rng.uniform(-0.05, 0.0)
    if rng.random() < 0.85:
        trunk.offshoots.append(diagonal("d1", S.FIRST_DIAGONAL, first, rng.uniform(40, 62)))
    if rng.random() < 0.4:
        leaves = first + rng.uniform(0.06, 0.1)
        trunk.offshoots.append(diagonal("d1a", S.FIRST_DIAGONAL_A, leaves, rng.uniform(30, 45)))
    if rng.random() < 0.55:
        leaves = rng.uniform(first + 0.14, half + 0.02)
        trunk.offshoots.append(diagonal("d2", S.SECOND_DIAGONAL, leaves, rng.uniform(25, 45)))
        if rng.random() < 0.12:
            trunk.offshoots.append(diagonal("d2a", S.SECOND_DIAGONAL_A, leaves + 0.1, rng.uniform(20, 30)))
    if rng.random() < 0.25:
        ramus = [(4.0, fork - 14), (18.0, fork - 26), (36.0, fork - 34), (52.0, fork - 36)]
        trunk.offshoots.append(Offshoot("ramus", S.INTERMEDIATE, "lad", main + 0.004, ramus))
    return [trunk, _plan_circumflex(rng, heart, dominance, fork, bifurcation, main)]


def _plan_circumflex(
    rng: np.random.Generator,
    heart: Heart,
    dominance: Dominance,
    fork: float,
    bifurcation: np.ndarray,
    main: float,
) -> Trunk:
    last = {
        Dominance.RIGHT: rng.uniform(-45, 0),
        Dominance.CO: rng.uniform(-75, -50),
        Dominance.LEFT: -98.0,
    }[dominance]
    longitudes = np.linspace(fork - 16, last, max(3, int((fork - last) / 26)))
    course = [(G + rng.normal(0, 1.5), lon) for lon in longitudes]
    tail = rng.uniform(8, 24)  # the end of the vessel leaves the groove for the ventricle
    posterior = dominance is Dominance.LEFT
    if not posterior:
        course += [(G + tail * f, last - 6 * f) for f in (0.5, 1.0)]
    groove_points = on_surface(heart, course)
    if posterior:  # the vessel turns at the crux into the posterior descending artery
        reach = rng.uniform(40, 58)
        descending = on_surface(heart, [(f * reach, -101 + 2 * f) for f in (0.08, 0.35, 0.7, 1.0)])
        control = np.concatenate([[bifurcation], groove_points, descending])
    else:
        control = np.concatenate([[bifurcation], groove_points])
    arc = fractions_along(control)
    groove_end = arc[len(course)] if posterior else 1.0

    def at_longitude(longitude: float) -> float:
        return float(np.interp(-longitude, -longitudes, arc[1 : len(longitudes) + 1]))

    marginal = rng.uniform(38, 62)
    segments = [(S.LCX_PROXIMAL, at_longitude(marginal)), (S.LCX_DISTAL, groove_end)]
    if posterior:
        segments.append((S.LEFT_POSTERIOR_DESCENDING, 1.0))
    trunk = Trunk("lcx", control, segments, (1.5, 0.25), "lad", main)

    def to_apex(key: str, segment: SyntaxSegment, longitude: float) -> Offshoot:
        reach = rng.uniform(30, 62)
        lean = rng.uniform(4, 14)
        course = [(G + f * reach, longitude - lean * np.sqrt(f)) for f in (0.15, 0.45, 0.75, 1.0)]
        return Offshoot(key, segment, "lcx", at_longitude(longitude), course)

    if rng.random() < 0.75:
        trunk.offshoots.append(to_apex("om1", S.OBTUSE_MARGINAL_A, marginal))
    wishes = [
        ("om2", S.OBTUSE_MARGINAL_B, rng.uniform(8, 28), 0.5),
        ("pl", S.LEFT_POSTEROLATERAL, rng.uniform(-28, 0), 0.55 if dominance is Dominance.RIGHT else 0.9),
        ("pla", S.LEFT_POSTEROLATERAL_A, rng.uniform(-52, -36), 0.6),
        ("plb", S.LEFT_POSTEROLATERAL_B, rng.uniform(-74, -60), 0.6),
    ]
    for key, segment, longitude, chance in wishes:
        if longitude > last + 6 and rng.random() < chance:
            trunk.offshoots.append(to_apex(key, segment, longitude))
    return trunk
