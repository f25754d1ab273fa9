"""Everything in an angiogram besides the vessels: chest, spine, ribs, diaphragm, catheter, wires, collimator."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, zoom
from scipy.special import expit

from monai_lora_sam.coronary.phantom.heart import Heart
from monai_lora_sam.coronary.phantom.projection import CArm
from monai_lora_sam.coronary.polyline import Polyline

#: The chest's structures are smooth: they are computed on a grid coarser by this factor.
COARSE = 4
#: Distance between the points of catheters (mm) and wires (px): finer than any of them is wide.
DEVICE_STEP = 0.8


def clouds(
    rng: np.random.Generator, shape: tuple[int, int], sizes: list[float], strengths: list[float]
) -> np.ndarray:
    """Return (H, W) smooth noise, a sum of fields with the given feature sizes in pixels and deviations."""
    total = np.zeros(shape, np.float32)
    for size, strength in zip(sizes, strengths, strict=True):
        cells = [max(int(np.ceil(side / size)) + 3, 4) for side in shape]
        grid = rng.standard_normal(cells).astype(np.float32)
        field = zoom(
            grid, [(side + 2 * size) / cell for side, cell in zip(shape, cells, strict=True)], order=3
        )
        total += strength * field[: shape[0], : shape[1]]
    return total


def chest(rng: np.random.Generator, arm: CArm, heart: Heart, offset_mm: np.ndarray) -> np.ndarray:
    """Return (H, W) the attenuation (natural logarithm) of the chest without vessels.

    Args:
        rng: source of all randomness.
        arm: the view.
        heart: places the heart's shadow, the diaphragm and the spine.
        offset_mm: (3,) where the heart's centre lies from the isocentre.
    """
    shape = (arm.shape[0] // COARSE, arm.shape[1] // COARSE)
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32) * COARSE
    size = float(max(arm.shape))
    field = clouds(
        rng,
        shape,
        [60, 26, 11, 5],
        [rng.uniform(0.08, 0.3), rng.uniform(0.03, 0.1), rng.uniform(0.015, 0.06), 0.02],
    )
    slope = rng.normal(0, 0.25, 2)
    field += slope[0] * (rows / size - 0.5) + slope[1] * (columns / size - 0.5)
    field += _heart_shadow(rng, arm, heart, offset_mm, rows, columns)
    if rng.random() < 0.8:
        field += _diaphragm(rng, arm, heart, offset_mm, rows, columns)
    if rng.random() < 0.9:
        field += _spine(rng, arm, offset_mm, rows, columns)
    if rng.random() < 0.85:
        field += _ribs(rng, rows, columns, size)
    smooth = gaussian_filter(zoom(field, COARSE, order=1), 1.0)
    return (smooth + _texture(rng, arm.shape)).astype(np.float32)


def _texture(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return (H, W) the fine structure of lung and bone: mottle, and faint lines like lung vessels."""
    half = shape[0] // 2, shape[1] // 2
    strength = rng.uniform(0.008, 0.024)
    mottle = clouds(rng, half, [1.6, 4, 9, 18], [0.8 * strength, strength, strength, 1.2 * strength])
    if rng.random() < 0.6:
        for size in (rng.uniform(14, 40), rng.uniform(10, 24)):
            ridge = clouds(rng, half, [size], [1.0])
            where = expit(3 * clouds(rng, half, [70], [1.0]))
            mottle += rng.uniform(0.01, 0.05) * np.exp(-((ridge / rng.uniform(0.06, 0.2)) ** 2)) * where
    return zoom(mottle, 2, order=1)


def _heart_shadow(
    rng: np.random.Generator,
    arm: CArm,
    heart: Heart,
    offset: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
) -> np.ndarray:
    """Brighten the lung outside the heart's outline."""
    lat, lon = np.meshgrid(np.linspace(-60, 90, 9), np.linspace(0, 330, 12))
    outline, _ = arm.project(heart.surface(lat.ravel(), lon.ravel()) * rng.uniform(1.05, 1.25) + offset)
    centre = outline.mean(axis=0)
    covariance = np.cov((outline - centre).T) * 2.6
    inverse = np.linalg.inv(covariance)
    y, x = rows - centre[0], columns - centre[1]
    distance = np.sqrt(inverse[0, 0] * y**2 + 2 * inverse[0, 1] * y * x + inverse[1, 1] * x**2)
    edge = expit((distance - 1.0) * rng.uniform(8, 40))
    return -rng.uniform(0.05, 0.5) * edge * (0.4 + 0.6 * expit((columns - centre[1]) / 40.0))


def _diaphragm(
    rng: np.random.Generator,
    arm: CArm,
    heart: Heart,
    offset: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
) -> np.ndarray:
    """Darken the picture below one or two domes, whose edge is sharp as in real pictures."""
    apex, _ = arm.project(heart.surface(90.0, 0.0) + offset)
    total, unit = np.zeros_like(rows), min(arm.shape) / 512
    for _ in range(int(rng.choice([1, 2], p=[0.6, 0.4]))):
        radius = rng.uniform(150, 420) * unit
        top = apex[0] + (rng.normal(0, 70) - 60 * np.sin(np.deg2rad(max(arm.secondary_deg, 0)))) * unit
        centre_row, centre_column = top + radius, rng.uniform(0, columns.max())
        distance = np.hypot((rows - centre_row), (columns - centre_column) * rng.uniform(0.6, 1.0)) - radius
        edge = expit(-distance / (rng.uniform(1.5, 8.0) * unit))
        total += rng.uniform(0.1, 0.6) * edge * (1 - 0.3 * np.exp(np.minimum(distance, 0) / (60.0 * unit)))
    return total


def _spine(
    rng: np.random.Generator, arm: CArm, offset: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Draw the vertebrae behind the heart, with end plates, discs and pedicles."""
    level = np.linspace(-160, 160, 60)
    line = np.stack(
        [np.full(60, -18.0 + rng.normal(0, 6)), np.full(60, 62.0 + rng.normal(0, 8)), level], axis=1
    )
    pixels, depth = arm.project(line + offset)
    scale = float(arm.pixels_per_mm(depth.mean()))
    order = np.argsort(pixels[:, 0])
    middle = np.interp(rows[:, 0], pixels[order, 0], pixels[order, 1])[:, None]
    across = (columns - middle) / scale
    half = rng.uniform(15, 20)
    along = np.interp(rows[:, 0], pixels[order, 0], level[order])[:, None] + 0.12 * across * rng.normal()
    period, phase_shift = rng.uniform(24, 30), rng.uniform(0, 2 * np.pi)
    phase = 2 * np.pi * along / period + phase_shift
    waist = 1.5 * np.cos(phase)
    body = expit((half - waist - np.abs(across)) / rng.uniform(0.8, 3.5))
    disc = expit((np.cos(phase) - 0.72) * 14)
    plate = np.exp(-(((np.cos(phase) - 0.6) / 0.14) ** 2))
    strength = rng.uniform(0.04, 0.26)
    picture = body * (1 - 0.45 * disc + 0.2 * plate)
    rim = np.exp(-(((np.abs(across) - half + 1.5) / 1.5) ** 2)) * (1 - disc)
    pedicle = np.exp(-(((np.abs(across - 2) - 9) / 3.0) ** 2)) * np.exp(
        -(((np.cos(phase) + 0.3) / 0.45) ** 2)
    )
    process = np.exp(-((across / 2.2) ** 2)) * np.exp(-(((np.cos(phase) + 0.8) / 0.3) ** 2))
    return strength * (picture + 0.25 * rim + rng.uniform(0, 0.6) * pedicle + rng.uniform(0, 0.5) * process)


def _ribs(rng: np.random.Generator, rows: np.ndarray, columns: np.ndarray, size: float) -> np.ndarray:
    """Draw ribs as parallel curved bands with denser edges."""
    total = np.zeros_like(rows)
    for _ in range(int(rng.integers(1, 3))):
        tilt, bend = rng.uniform(-0.9, 0.9), rng.uniform(-0.5, 0.5)
        x = columns / size - rng.uniform(0.2, 0.8)
        height = rows / size - tilt * x - bend * x**2
        period, width = rng.uniform(0.16, 0.26), rng.uniform(0.25, 0.42)
        height = height / period
        height = height + 0.2 * np.sin(2 * np.pi * (0.37 * height + rng.random()))
        place = (height + rng.random()) % 1.0
        inside = expit((width / 2 - np.abs(place - 0.5)) / 0.03)
        rim = np.exp(-(((np.abs(place - 0.5) - width / 2) / 0.035) ** 2))
        fade = expit((columns - rng.uniform(0, size)) / 60.0 * rng.choice([-1, 1]))
        total += rng.uniform(0.02, 0.14) * (inside + 0.6 * rim) * fade
    return total


def catheter_path(rng: np.random.Generator, ostium_mm: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Return the catheter (N, 3) from the aortic arch down the ascending aorta into the ostium, in mm."""
    sway = rng.normal(0, 5, (3, 3))
    tip = ostium_mm + 3.0 * direction
    before = ostium_mm - rng.uniform(4, 9) * direction
    wall = ostium_mm + np.array([-14.0, 2.0, rng.uniform(2, 16)]) + sway[0]
    ascending = ostium_mm + np.array([rng.uniform(-16, -2), 4.0, 45.0]) + sway[1]
    arch = ostium_mm + np.array([rng.uniform(-14, 16), 22.0, 95.0]) + sway[2]
    top = arch + np.array([rng.uniform(-10, 20), 15.0, 50.0])
    return smooth_chain(np.array([top, arch, ascending, wall, before, tip]))


def descending_path(rng: np.random.Generator) -> np.ndarray:
    """Return a catheter or wire (N, 3) in the descending aorta, left of the spine, in mm."""
    level = np.linspace(-160, 150, 8)
    x = 8.0 + rng.normal(0, 5) + rng.normal(0, 2, 8).cumsum() * 0.6
    return smooth_chain(np.stack([x, np.full(8, 48.0), level], axis=1))


def smooth_chain(control: np.ndarray) -> np.ndarray:
    """Smooth a polyline (N, D) by cutting its corners (Chaikin), keeping its ends; points lie `DEVICE_STEP` apart."""
    for _ in range(4):
        first, second = control[:-1], control[1:]
        cut = np.stack([0.75 * first + 0.25 * second, 0.25 * first + 0.75 * second], axis=1).reshape(
            -1, control.shape[1]
        )
        control = np.concatenate([control[:1], cut[1:-1], control[-1:]])
    return Polyline(control).resample(DEVICE_STEP).points


def wire_path(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return a thin line (N, 2) in pixels across the picture: an electrode's cable or a wire on the skin."""
    ends = rng.uniform(-0.1, 1.1, (4, 2)) * np.array(shape)
    ends[0, rng.integers(2)], ends[-1, rng.integers(2)] = -10.0, shape[0] + 10.0
    return smooth_chain(ends)


def clips(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return (H, W) the attenuation of a few surgical clips."""
    field = np.zeros(shape, np.float32)
    for _ in range(int(rng.integers(1, 5))):
        row, column = rng.uniform(0.1, 0.9, 2) * np.array(shape)
        angle, length = rng.uniform(0, np.pi), rng.uniform(4, 12)
        t = np.linspace(-length / 2, length / 2, 24)
        at = np.rint(np.stack([row + t * np.sin(angle), column + t * np.cos(angle)])).astype(int)
        at = np.clip(at, 0, np.array(shape)[:, None] - 1)
        field[at[0], at[1]] = rng.uniform(0.6, 1.5)
    return gaussian_filter(field, 0.9)


def collimator(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return (H, W) the part of the beam (0 to 1) that passes the collimator, open or rounded."""
    if rng.random() < 0.45:
        return np.ones(shape, np.float32)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    unit = min(shape) / 512
    margin = rng.uniform(-12, 26, 4) * unit
    if rng.random() < 0.12:
        margin[2:] = rng.uniform(30, 110, 2) * unit
    corner = rng.uniform(2, 26) * unit
    top, bottom, left, right = margin
    half_height, half_width = (shape[0] - top - bottom) / 2, (shape[1] - left - right) / 2
    y = np.abs(rows - (top + half_height)) - half_height + corner
    x = np.abs(columns - (left + half_width)) - half_width + corner
    outside = np.hypot(np.maximum(y, 0), np.maximum(x, 0)) + np.minimum(np.maximum(y, x), 0) - corner
    return expit(-outside / rng.uniform(0.8, 4.0)).astype(np.float32)
