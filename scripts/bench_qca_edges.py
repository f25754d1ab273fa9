"""Compare ways to find a vessel's walls on synthetic angiograms, whose diameters are known.

    python scripts/bench_qca_edges.py --count 12

At places of the true centrelines, away from other vessels, the diameter is measured by the integral of the
probability across the vessel (as the package does), by the places where it falls through 0.5, and by the image's
gradient: its steepest place, and the mean of normalised first and second derivative (as Reiber et al., Circulation
1985;71:280-288, weigh them), both looked for around the true wall, which is a help to them. The first two read the
exact mask, the mask blurred, and the map of a stage, where it says vessel; the others read the image. Last, where the
stage says vessel, the shadow of a round lumen fitted to the image (as `measure` does with an image), and the reading of
the diameter network there (as the pipeline does).
"""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np
from rich.table import Table
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates

from monai_lora_sam.cli.console import console
from monai_lora_sam.coronary.phantom import Centreline, Phantom, PhantomConfig, generate_phantom
from monai_lora_sam.coronary.polyline import Polyline
from monai_lora_sam.coronary.qca.lumen import LumenFinder, lumen_diameters
from monai_lora_sam.coronary.qca.samples import fill, smooth
from monai_lora_sam.coronary.qca.walls import half_widths

STEP_PX = 0.25
ALONG_PX = 2.0  # smoothing along the vessel, the same for all
BESIDE_PX = (1.5, 2.5, 3.5, 5.0)  # beyond the true wall nothing else may be vessel


def by_integral(
    source: np.ndarray, points: np.ndarray, across: np.ndarray, true_px: np.ndarray
) -> np.ndarray:
    return half_widths(source, points, across).sum(axis=0)


def by_crossing(
    source: np.ndarray, points: np.ndarray, across: np.ndarray, true_px: np.ndarray
) -> np.ndarray:
    """Walk outwards to the first fall through 0.5; no wall where the middle is lower."""
    offsets = np.arange(0, 40, STEP_PX)
    total = np.zeros(len(points))
    for sign in (-1, 1):
        samples = sample(source, points, sign * across, offsets)
        outside = samples < 0.5
        first = outside.argmax(axis=1)
        rows = np.arange(len(points))
        high, low = samples[rows, np.maximum(first - 1, 0)], samples[rows, first]
        part = (high - 0.5) / np.maximum(high - low, 1e-9)
        total += np.where(outside.any(axis=1) & (first > 0), offsets[first] - STEP_PX * (1 - part), np.nan)
    return total


def by_first_derivative(
    source: np.ndarray, points: np.ndarray, across: np.ndarray, true_px: np.ndarray
) -> np.ndarray:
    return by_gradient(source, points, across, true_px, second_weight=0.0)


def by_gradient(
    source: np.ndarray,
    points: np.ndarray,
    across: np.ndarray,
    true_px: np.ndarray,
    second_weight: float = 0.5,
) -> np.ndarray:
    """Take the strongest weighted sum of first and second derivative around the true wall."""
    offsets = np.arange(0, 40, STEP_PX)
    total = np.zeros(len(points))
    for sign in (-1, 1):
        samples = gaussian_filter1d(sample(source, points, sign * across, offsets), 0.8 / STEP_PX, axis=1)
        samples = gaussian_filter1d(samples, 2 * ALONG_PX, axis=0)
        first = np.gradient(samples, axis=1)
        second = -np.gradient(first, axis=1)
        window = np.abs(offsets[None] - true_px[:, None] / 2) <= np.maximum(2.5, true_px[:, None] / 4)
        window &= offsets[None] > 0.3

        def normalised(values: np.ndarray, window: np.ndarray = window) -> np.ndarray:
            return values / np.maximum(np.where(window, values, 0).max(axis=1, keepdims=True), 1e-9)

        weighed = (1 - second_weight) * normalised(first) + second_weight * normalised(second)
        score = np.where(window, weighed, -np.inf)
        total += offsets[score.argmax(axis=1)]
    return total


def by_finder(
    source: np.ndarray,
    points: np.ndarray,
    across: np.ndarray,
    true_px: np.ndarray,
    probability: np.ndarray,
    find_lumen: LumenFinder,
) -> np.ndarray:
    """Read the lumen in the image as `measure` does, where the probability says vessel."""
    width = half_widths(probability, points, across).sum(axis=0)
    trusted = np.isfinite(width) & (width > 0) & (map_coordinates(probability, points.T, order=1) >= 0.5)
    if trusted.sum() < 12:
        return np.full(len(points), np.nan)
    read = find_lumen(source, points, across, fill(width, trusted), trusted)
    return np.where(trusted, read[0], np.nan)


def sample(source: np.ndarray, points: np.ndarray, direction: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    places = points[:, None] + offsets[None, :, None] * direction[:, None]
    return map_coordinates(source, places.transpose(2, 0, 1), order=1, mode="nearest")


def sites(phantom: Phantom, line: Centreline) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return points half a pixel apart, normals, true diameters in px, and which of them are free of others."""
    midline = Polyline(line.points_rc_px)
    wanted = np.arange(0, midline.length, 0.5)
    points = midline.at(wanted)
    true_px = np.interp(wanted, midline.arc_length, line.diameter_px)
    across = Polyline(points).normals
    free = np.full(len(points), True)
    mask = phantom.vessel_mask.astype(float)
    for sign in (-1, 1):
        for beside in BESIDE_PX:
            place = points + sign * across * (true_px / 2 + beside)[:, None]
            free &= map_coordinates(mask, place.T, order=0, mode="constant", cval=1) == 0
    inside = map_coordinates(mask, points.T, order=0, mode="constant", cval=0) > 0
    ends = (wanted > 2 * true_px) & (wanted < midline.length - 2 * true_px)
    return points, across, true_px, free & inside & ends


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=12, help="phantoms")
    parser.add_argument("--seed", type=int, default=70_000)
    parser.add_argument("--stage", default="vessels_phantom", help="a shipped vessel stage, or its folder")
    parser.add_argument("--no-stage", action="store_true", help="leave the network out")
    arguments = parser.parse_args()
    pipeline = None
    if not arguments.no_stage:
        from monai_lora_sam.coronary.pipeline import CoronaryPipeline
        from monai_lora_sam.coronary.stages import SHIPPED

        pipeline = CoronaryPipeline(SHIPPED / arguments.stage, segments=None, stenosis=None)
    errors: dict[tuple[str, str], list[np.ndarray]] = {}
    diameters: list[np.ndarray] = []
    for index in range(arguments.count):
        config = PhantomConfig(lesion_probability=1.0, pixel_spacing_range_mm=(0.15, 0.40))
        phantom = generate_phantom(arguments.seed + index, config)
        mask = phantom.vessel_mask.astype(np.float32)
        image = phantom.image.astype(np.float32) / 255
        sources = {
            "exact mask": mask,
            "mask blurred by 1 px": gaussian_filter(mask, 1.0),
            "mask blurred by 2 px": gaussian_filter(mask, 2.0),
        }
        if pipeline is not None:
            sources["stage 1"] = predicted(pipeline, image)
        for line in phantom.centrelines:
            points, across, true_px, free = sites(phantom, line)
            if free.sum() < 20:
                continue
            diameters.append(true_px[free] * phantom.pixel_spacing_mm)
            todo = [(name, "integral", by_integral, source) for name, source in sources.items()]
            todo += [(name, "0.5 crossing", by_crossing, source) for name, source in sources.items()]
            todo += [("image", "first derivative", by_first_derivative, image)]
            todo += [("image", "first and second", by_gradient, image)]
            if pipeline is not None:
                found_there = partial(by_finder, probability=sources["stage 1"])
                finders = {
                    "shadow": lumen_diameters,
                    "diameter network": pipeline.lumen_finder(sources["stage 1"]),
                }
                for name, find_lumen in finders.items():
                    method = partial(found_there, find_lumen=find_lumen)
                    todo += [("image, at stage 1's places", name, method, image)]
            for name, method, measure, source in todo:
                measured = measure(source, points, across, true_px)
                found = np.isfinite(measured) & (measured > 0)
                smoothed = smooth(measured, found, ALONG_PX / 0.5)
                if source is not image:
                    found &= map_coordinates(source, points.T, order=1) >= 0.5
                error = np.where(free & found, smoothed - true_px, np.nan)[free]
                errors.setdefault((name, method), []).append(error * phantom.pixel_spacing_mm)
    width = np.concatenate(diameters)
    table = Table(title=f"{len(width)} places of {arguments.count} phantoms: error of the diameter in mm")
    for column in ("read from", "walls by", "found", "bias", "SD", "median |error|", "bias below 1.5 mm"):
        table.add_column(column, justify="left" if column in ("read from", "walls by") else "right")
    for (name, method), parts in errors.items():
        error = np.concatenate(parts)
        found = np.isfinite(error)
        thin = found & (width < 1.5)
        table.add_row(
            name,
            method,
            f"{100 * found.mean():.1f} %",
            f"{error[found].mean():+.3f}",
            f"{error[found].std():.3f}",
            f"{np.median(np.abs(error[found])):.3f}",
            f"{error[thin].mean():+.3f}",
        )
    console.print(table)


def predicted(pipeline, image: np.ndarray) -> np.ndarray:
    from pathlib import Path

    from monai_lora_sam.coronary.images import Angiogram

    return pipeline.probability(Angiogram(image, None, None, "XA", Path("phantom.png")))


if __name__ == "__main__":
    main()
