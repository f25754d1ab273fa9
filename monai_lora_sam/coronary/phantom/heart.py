"""The heart's surface in patient coordinates (mm; x to the patient's left, y to the back, z to the head)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation

from monai_lora_sam.coronary.polyline import Polyline

#: Latitude of the atrioventricular groove on the heart's ellipsoid, in degrees (0 = widest ring, 90 = apex).
GROOVE_LATITUDE = -8.0
SAMPLE_STEP_MM = 0.4


@dataclass(frozen=True)
class Heart:
    """An ellipsoid with a wider right side, set in the chest by three axes.

    A point on it is named by latitude and longitude in degrees. Longitude 0 is the lateral wall of the left
    ventricle, about 105 the anterior interventricular groove, 180 the right side, about 257 the posterior
    interventricular groove. The apex points to the left, the front and the feet.
    """

    apex_axis: np.ndarray
    lateral_axis: np.ndarray
    upper_axis: np.ndarray
    length_mm: float
    radius_mm: float

    def surface(self, latitude: np.ndarray | float, longitude: np.ndarray | float) -> np.ndarray:
        """Return the point(s) (..., 3) at a latitude and longitude given in degrees."""
        lat = np.deg2rad(np.asarray(latitude, float))[..., None]
        lon = np.asarray(longitude, float)[..., None]
        turn = (lon - 195.0 + 180.0) % 360.0 - 180.0
        radius = self.radius_mm * (1.0 + 0.16 * np.exp(-((turn / 55.0) ** 2)))
        lon = np.deg2rad(lon)
        across = np.cos(lon) * self.lateral_axis + np.sin(lon) * self.upper_axis
        return self.length_mm * np.sin(lat) * self.apex_axis + radius * np.cos(lat) * across

    def root(self, offset: tuple[float, float, float]) -> np.ndarray:
        """Return a point (3,) in mm from the groove plane's centre along lateral, upper and apex axes."""
        base = self.length_mm * np.sin(np.deg2rad(GROOVE_LATITUDE)) * self.apex_axis
        scale = self.radius_mm / 36.0
        axes = (self.lateral_axis, self.upper_axis, self.apex_axis)
        return base + scale * sum(o * a for o, a in zip(offset, axes, strict=True))


def draw_heart(rng: np.random.Generator) -> Heart:
    """Draw a heart of random size, turned a little out of its usual place."""
    left, down = np.deg2rad(rng.normal(48, 6)), np.deg2rad(rng.normal(27, 6))
    apex = np.array([np.cos(down) * np.sin(left), -np.cos(down) * np.cos(left), -np.sin(down)])
    lateral = np.array([np.cos(left), np.sin(left), 0.0])
    spin = Rotation.from_rotvec(np.deg2rad(rng.normal(0, 5)) * apex)
    lateral = spin.apply(lateral)
    upper = np.cross(apex, lateral)
    return Heart(apex, lateral, upper, length_mm=rng.normal(74, 5), radius_mm=rng.normal(37, 2.5))


def smooth_path(
    rng: np.random.Generator,
    control: np.ndarray,
    jitter_mm: float,
    tortuosity_mm: float,
    wavelength_mm: float = 22.0,
) -> np.ndarray:
    """Return a smooth curve (N, 3) through jittered control points, sampled evenly every `SAMPLE_STEP_MM`.

    The first point stays where it is, so that a branch starts on its parent. Tortuosity is a sum of three
    waves across the curve, growing from nothing at the origin.
    """
    control = np.array(control, float)
    control[1:] += rng.normal(0, jitter_mm, (len(control) - 1, 3))
    knots = Polyline(control).arc_length
    spline = CubicSpline(knots, control, bc_type="natural")
    t = np.linspace(0.0, knots[-1], max(int(knots[-1] / SAMPLE_STEP_MM), 8))
    path = spline(t)
    if tortuosity_mm > 0:
        grow = np.minimum(t / (0.35 * knots[-1]), 1.0)[:, None]
        for octave in (1.0, 0.55, 0.3):
            angle = 2 * np.pi * t / (wavelength_mm * octave) + rng.uniform(0, 2 * np.pi)
            wobble = np.cumsum(rng.normal(0, 0.03, len(t)))
            path = path + grow * tortuosity_mm * octave * np.sin(angle + wobble)[:, None] * unit(
                rng.normal(size=3)
            )
    return Polyline(path).resample(SAMPLE_STEP_MM).points


def unit(vector: np.ndarray) -> np.ndarray:
    """Return the vector(s) (..., 3) scaled to length one."""
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)
