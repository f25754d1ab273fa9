"""Metal and plastic that networks mistake for vessels: wires, leads, clips, catheters, cables, stents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from monai_lora_sam.coronary.phantom.background import smooth_chain
from monai_lora_sam.coronary.phantom.rendering import draw_vessel
from monai_lora_sam.coronary.polyline import Polyline

#: A picture with implants shows so many kinds of them at most.
MOST_KINDS = 3


@dataclass(frozen=True)
class Canvas:
    """Hold the picture that implants are drawn into, and the vessels that stents may lie in.

    Attributes:
        shape: rows and columns.
        spacing_mm: size of a pixel in the patient.
        vessels: (N, 2) centrelines as (row, column) in pixels, each with the radius (N,) in pixels.
    """

    shape: tuple[int, int]
    spacing_mm: float
    vessels: Sequence[tuple[np.ndarray, np.ndarray]] = ()

    @property
    def size_mm(self) -> np.ndarray:
        """The picture's height and width."""
        return np.array(self.shape) * self.spacing_mm

    def rod(self, points_mm: np.ndarray, diameter_mm: float, attenuation: float) -> np.ndarray:
        """Return (H, W) the attenuation of a round wire along points (row, column) in mm, given at its middle."""
        total = np.zeros(self.shape, np.float32)
        line = Polyline(points_mm / self.spacing_mm).resample(0.8).points
        diameter = diameter_mm / self.spacing_mm
        ones = np.ones(len(line))
        drawn = draw_vessel(line, 0.5 * diameter * ones, ones / diameter, ones, self.shape)
        if drawn is not None:
            total[drawn.rows, drawn.columns] = attenuation * drawn.path_mm
        return total


def draw_implants(
    rng: np.random.Generator,
    shape: tuple[int, int],
    spacing_mm: float,
    vessels: Sequence[tuple[np.ndarray, np.ndarray]] = (),
    kinds: Sequence[str] | None = None,
) -> np.ndarray:
    """Draw objects that are no vessels into a picture's attenuation.

    Args:
        rng: source of all randomness.
        shape: rows and columns.
        spacing_mm: size of a pixel in the patient.
        vessels: centrelines (N, 2) as (row, column) in pixels with radii (N,), for stents to lie in; without any, a
            stent lies somewhere.
        kinds: names of :data:`IMPLANTS`; None draws one to three of them.

    Returns:
        (H, W) float32 attenuation, natural logarithm, from 0 on.

    Raises:
        ValueError: an unknown kind, or a spacing that is not positive.

    Example:
        >>> field = draw_implants(np.random.default_rng(0), (128, 128), 0.8, kinds=["sternal_wires"])
        >>> field.shape, bool(field.max() > 0.5)
        ((128, 128), True)
    """
    if not spacing_mm > 0:
        raise ValueError(f"spacing_mm: expected a number above 0, found {spacing_mm}")
    if kinds is None:
        count = int(rng.integers(1, MOST_KINDS + 1))
        kinds = [str(kind) for kind in rng.choice(list(IMPLANTS), count, replace=False)]
    if unknown := [kind for kind in kinds if kind not in IMPLANTS]:
        raise ValueError(f"implants: expected kinds of {list(IMPLANTS)}, found {unknown}")
    canvas = Canvas(shape, spacing_mm, vessels)
    total = np.zeros(shape, np.float32)
    for kind in kinds:
        total += IMPLANTS[kind](rng, canvas)
    return gaussian_filter(total, 0.5)


def sternal_wires(rng: np.random.Generator, canvas: Canvas) -> np.ndarray:
    """Draw the loops that close a breastbone: a column of flat rings of steel, each with a twisted knot."""
    total = np.zeros(canvas.shape, np.float32)
    height, width = canvas.size_mm
    tilt, column = rng.normal(0, 0.2), rng.uniform(0.15, 0.85) * width
    ring_width, ring_height = rng.uniform(14, 28), rng.uniform(3, 13)
    thickness, attenuation = rng.uniform(0.6, 1.0), rng.uniform(0.8, 2.5)
    row = rng.uniform(-5, 15)
    while row < height + 5:
        turn = tilt + rng.normal(0, 0.15)
        opening = rng.uniform(0, 2 * np.pi)
        angles = opening + np.linspace(0.0, 2 * np.pi, 80)
        wide, high = ring_width * rng.uniform(0.8, 1.2) / 2, ring_height * rng.uniform(0.7, 1.3) / 2
        ring = np.stack([high * np.sin(angles), wide * np.cos(angles)], axis=1)
        ring += 0.04 * wide * np.sin(3 * angles + rng.uniform(0, 6))[:, None]
        ring = _turned(ring, turn) + np.array([row, column + tilt * (height / 2 - row)])
        total = np.maximum(total, canvas.rod(ring, thickness, attenuation))
        knot = _line(ring[0], rng.uniform(0, 2 * np.pi), rng.uniform(3, 6), 24)
        knot += 0.3 * thickness * np.sin(np.linspace(0, rng.uniform(12, 20), 24))[:, None]
        total = np.maximum(total, canvas.rod(knot, 1.5 * thickness, 1.2 * attenuation))
        row += rng.uniform(14, 26)
    return total


def pacing_leads(rng: np.random.Generator, canvas: Canvas) -> np.ndarray:
    """Draw one or two leads from the upper veins to the heart's floor, with ring, tip and perhaps a shock coil."""
    total = np.zeros(canvas.shape, np.float32)
    height, width = canvas.size_mm
    start = rng.uniform(0.1, 0.6) * width
    thickness, attenuation = rng.uniform(1.6, 2.6), rng.uniform(0.15, 0.6)
    for _ in range(int(rng.integers(1, 3))):
        middle = (rng.uniform(0.3, 0.7) * height, start + rng.uniform(-0.15, 0.05) * width)
        floor = (rng.uniform(0.6, 0.95) * height, start + rng.uniform(0.0, 0.25) * width)
        tip = (rng.uniform(0.5, 0.9) * height, start + rng.uniform(0.2, 0.5) * width)
        lead = smooth_chain(np.array([(-10, start + rng.normal(0, 4)), middle, floor, tip]))
        total += canvas.rod(lead, thickness, attenuation)
        line = Polyline(lead)
        pieces = [
            (0.0, rng.uniform(2, 4)),
            (rng.uniform(9, 15), rng.uniform(2, 4)),
        ]  # mm from the tip: tip and ring
        if rng.random() < 0.3:
            pieces.append((rng.uniform(18, 25), rng.uniform(35, 60)))
        for begin, length in pieces:
            piece = line.at(line.length - np.linspace(begin, begin + length, 40))
            total += canvas.rod(piece, 1.15 * thickness, rng.uniform(0.7, 1.8))
    return total


def clip_row(rng: np.random.Generator, canvas: Canvas) -> np.ndarray:
    """Draw surgical clips along the course of a bypass graft: short pairs of bars."""
    total = np.zeros(canvas.shape, np.float32)
    course = Polyline(_across(rng, canvas))
    thickness, attenuation = rng.uniform(0.5, 0.9), rng.uniform(0.8, 2.5)
    for place in rng.uniform(0, course.length, int(rng.integers(3, 13))):
        angle, length, gap = rng.uniform(0, np.pi), rng.uniform(3, 7), rng.uniform(0.4, 1.6)
        middle = course.at(place) + rng.normal(0, 2, 2)
        side = 0.5 * gap * np.array([np.cos(angle), -np.sin(angle)])
        for bar, skew in ((side, rng.uniform(0, 0.25)), (-side, -rng.uniform(0, 0.25))):
            total += canvas.rod(_line(middle + bar, angle + skew, length, 12), thickness, 0.6 * attenuation)
    return total


def stray_catheter(rng: np.random.Generator, canvas: Canvas) -> np.ndarray:
    """Draw a catheter or a guide wire away from the ostium: from border to border, or ending in a pigtail."""
    path = _across(rng, canvas)
    if rng.random() < 0.4:
        path = path[: int(rng.uniform(0.4, 0.8) * len(path))]
        if rng.random() < 0.6:
            path = np.concatenate([path[:-1], _pigtail(path, rng.uniform(4, 7), rng.choice([-1.0, 1.0]))])
    if rng.random() < 0.3:
        return canvas.rod(path, rng.uniform(0.36, 0.9), rng.uniform(0.3, 1.0))  # a guide wire
    outer = rng.uniform(4, 8) / 3.0
    wall, inside = rng.uniform(0.15, 0.6), rng.uniform(-0.7, 1.0)  # of the wall's; below 0 a hollow bore
    return np.maximum(
        canvas.rod(path, outer, wall) + canvas.rod(path, 0.65 * outer, wall * inside), 0.0
    ).astype(np.float32)


def cables(rng: np.random.Generator, canvas: Canvas) -> np.ndarray:
    """Draw electrodes on the skin, each a faint disc with a metal button, and their cables to the border."""
    total = np.zeros(canvas.shape, np.float32)
    rows, columns = np.mgrid[: canvas.shape[0], : canvas.shape[1]] * canvas.spacing_mm
    for _ in range(int(rng.integers(1, 4))):
        path = _across(rng, canvas)
        path = path[: int(rng.uniform(0.3, 1.0) * len(path))]
        total += canvas.rod(path, rng.uniform(1.0, 2.4), rng.uniform(0.1, 0.5))
        if rng.random() < 0.3:
            continue  # the electrode lies outside the picture
        distance = np.hypot(rows - path[-1, 0], columns - path[-1, 1])
        for radius, attenuation in (
            (rng.uniform(6, 13), rng.uniform(0.03, 0.15)),
            (rng.uniform(1.5, 3), 1.5),
        ):
            total += attenuation * np.clip((radius - distance) / canvas.spacing_mm + 0.5, 0, 1)
    return total.astype(np.float32)


def stents(rng: np.random.Generator, canvas: Canvas) -> np.ndarray:
    """Draw one or two stents as faint tubes of zigzag struts, in a vessel where there are any."""
    total = np.zeros(canvas.shape, np.float32)
    for _ in range(int(rng.integers(1, 3))):
        length = rng.uniform(10, 30)
        if canvas.vessels:
            centre, radius_px = canvas.vessels[int(rng.integers(len(canvas.vessels)))]
            line, radius = (
                Polyline(centre * canvas.spacing_mm),
                float(np.median(radius_px)) * canvas.spacing_mm,
            )
        else:
            line, radius = Polyline(_across(rng, canvas)), rng.uniform(1.2, 2.0)
        begin = rng.uniform(0, max(line.length - length, 0.0))
        at = np.linspace(begin, min(begin + length, line.length), 200)
        middle = Polyline(line.at(at))
        normal = middle.tangents[:, ::-1] * (1.0, -1.0)
        period, count, attenuation = rng.uniform(1.6, 3.0), 3, rng.uniform(0.04, 0.2)
        for strand in range(2 * count):  # the near and the far wall, as two families of spirals
            way = 1.0 if strand % 2 else -1.0
            phase = 2 * np.pi * (way * (at - begin) / (period * count) + strand / (2 * count))
            struts = middle.points + 1.05 * radius * np.cos(phase)[:, None] * normal
            total += canvas.rod(struts, 0.2, attenuation)
    return total


#: The kinds of implants; each draws its attenuation (H, W).
IMPLANTS: dict[str, Callable[[np.random.Generator, Canvas], np.ndarray]] = {
    "sternal_wires": sternal_wires,
    "pacing_leads": pacing_leads,
    "clips": clip_row,
    "catheter": stray_catheter,
    "cables": cables,
    "stents": stents,
}


def _turned(points: np.ndarray, angle: float) -> np.ndarray:
    sine, cosine = np.sin(angle), np.cos(angle)
    return points @ np.array([[cosine, sine], [-sine, cosine]])


def _line(start: np.ndarray, angle: float, length: float, count: int) -> np.ndarray:
    return start + np.linspace(0, length, count)[:, None] * (np.sin(angle), np.cos(angle))


def _across(rng: np.random.Generator, canvas: Canvas) -> np.ndarray:
    """Return a smooth curve (N, 2) in mm from one border, through the picture, to the opposite one."""
    along = np.linspace(-0.05, 1.05, 5)
    sideways = np.clip(rng.uniform(0.15, 0.85) + np.cumsum(rng.normal(0, 0.13, 5)), 0.02, 0.98)
    control = np.stack([along, sideways], axis=1)
    if rng.random() < 0.5:
        control = control[::-1]
    if rng.random() < 0.4:
        control = control[:, ::-1]
    return smooth_chain(control * canvas.size_mm)


def _pigtail(path: np.ndarray, radius: float, side: float) -> np.ndarray:
    """Return the turn and a half that the end of a pigtail catheter makes."""
    forward = path[-1] - path[-4]
    forward = forward / np.linalg.norm(forward)
    normal = side * forward[::-1] * (1.0, -1.0)
    angles = np.linspace(0, 3 * np.pi, 60)[:, None]
    shrink = np.linspace(1.0, 0.6, 60)[:, None]
    return path[-1] + radius * shrink * (np.sin(angles) * forward + (1 - np.cos(angles)) * normal)
