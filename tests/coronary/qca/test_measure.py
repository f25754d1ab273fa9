"""Vessels of known diameters, one awkward piece of anatomy at a time."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from monai_lora_sam.coronary.anatomy import SyntaxSegment, arcade_id
from monai_lora_sam.coronary.phantom import PhantomConfig, generate_phantom
from monai_lora_sam.coronary.qca import measure


def line(start: tuple[float, float], stop: tuple[float, float]) -> np.ndarray:
    """Return points (N, 2), row and column, a quarter of a pixel apart."""
    start_rc, stop_rc = np.array(start, float), np.array(stop, float)
    count = int(4 * np.linalg.norm(stop_rc - start_rc)) + 1
    return start_rc + np.linspace(0, 1, count)[:, None] * (stop_rc - start_rc)


def along(points: np.ndarray) -> np.ndarray:
    return np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]


def vessel(
    shape: tuple[int, int],
    points: np.ndarray,
    diameter: float | Callable[[np.ndarray], np.ndarray],
    *lesions: tuple[float, float, float],
) -> np.ndarray:
    """Return a bool mask (H, W) of the pixels whose centre lies in the lumen; the ends are cut square.

    Args:
        shape: of the mask.
        points: (N, 2) dense centreline.
        diameter: in px, or a function of the distance along the line.
        lesions: (centre, length, %DS) each, cosine-shaped, by the distance along the line.
    """
    arc = along(points)
    width = diameter(arc) if callable(diameter) else np.full(len(arc), float(diameter))
    for centre, length, percent in lesions:
        inside = np.abs(arc - centre) < length / 2
        width = width * (1 - inside * percent / 100 * 0.5 * (1 + np.cos(2 * np.pi * (arc - centre) / length)))
    pixels = np.moveaxis(np.indices(shape), 0, -1).reshape(-1, 2)
    distance, nearest = cKDTree(points).query(pixels, distance_upper_bound=width.max())
    within = (nearest > 0) & (nearest < len(points) - 1)
    return (within & (distance < np.r_[width, 0.0][nearest] / 2)).reshape(shape)


def joined(*masks: np.ndarray) -> np.ndarray:
    return np.logical_or.reduce(masks)


SHAPE = (160, 260)
START, STOP = (38.3, 8.2), (121.6, 250.7)
MIDDLE = along(line(START, STOP))[-1] / 2


def oblique(*lesions: tuple[float, float, float], diameter=12.0) -> np.ndarray:
    return vessel(SHAPE, line(START, STOP), diameter, *lesions)


@pytest.mark.parametrize("percent", [30, 50, 70, 90])
@pytest.mark.parametrize("blur", [0.0, 1.0])
def test_one_stenosis(percent: float, blur: float):
    mask = oblique((MIDDLE, 44, percent))
    result = measure(gaussian_filter(mask.astype(np.float32), blur) if blur else mask)
    (lesion,) = result.lesions
    assert lesion.percent_diameter_stenosis == pytest.approx(percent, abs=3)
    assert lesion.minimum_lumen_diameter_px == pytest.approx(12 * (1 - percent / 100), abs=0.3)
    assert lesion.reference_diameter_px == pytest.approx(12, abs=0.2)
    assert lesion.length_px == pytest.approx(44, rel=0.1)
    assert lesion.minimum_rc == pytest.approx((np.array(START) + STOP) / 2, abs=2.5)
    assert lesion.averaged_reference_px == pytest.approx(12, abs=0.3)
    area = 100 * (1 - (1 - lesion.percent_diameter_stenosis / 100) ** 2)
    assert lesion.percent_area_stenosis == pytest.approx(area)


def test_exact_masks_of_many_stenoses_are_measured_without_bias():
    random = np.random.default_rng(5)
    errors, stenoses, lengths = [], [], []
    for _ in range(16):
        spacing, percent = random.uniform(0.15, 0.4), random.uniform(25, 90)
        diameter, length = random.uniform(2.0, 4.0) / spacing, random.uniform(7, 16) / spacing
        angle, shift = random.uniform(0, math.pi), random.uniform(-1, 1, 2)
        middle = np.array([110.0, 110.0]) + shift
        half = 100 * np.array([math.sin(angle), math.cos(angle)])
        mask = vessel((221, 221), line(middle - half, middle + half), diameter, (100, length, percent))
        (lesion,) = measure(mask, pixel_spacing_mm=spacing).lesions
        errors.append((lesion.minimum_lumen_diameter_px - diameter * (1 - percent / 100)) * spacing)
        stenoses.append(lesion.percent_diameter_stenosis - percent)
        lengths.append(lesion.length_px / length - 1)
    assert abs(np.mean(errors)) < 0.03 and np.std(errors) < 0.1
    assert np.abs(stenoses).mean() < 3
    assert np.abs(lengths).mean() < 0.1


def test_healthy_vessels_have_no_lesion():
    for diameter in (5.0, 12.0, lambda arc: 14.0 - arc / 40):
        assert measure(oblique(diameter=diameter)).lesions == ()


def test_reference_follows_the_taper_and_is_read_at_the_smallest_lumen():
    def taper(arc):
        return 16.0 - arc / 30

    (lesion,) = measure(oblique((80, 40, 60), diameter=taper)).lesions
    assert lesion.reference_diameter_px == pytest.approx(16 - 80 / 30, rel=0.03)
    assert lesion.percent_diameter_stenosis == pytest.approx(60, abs=3)
    assert lesion.proximal_reference_px > lesion.reference_diameter_px > lesion.distal_reference_px
    # The wider end is the proximal one.
    assert lesion.profile.points_rc[0][1] < lesion.profile.points_rc[-1][1]


def fork(*lesions: tuple[float, float, float], side: float = 7.0) -> np.ndarray:
    main = oblique(*lesions)
    middle = (np.array(START) + STOP) / 2
    return joined(main, vessel(SHAPE, line(middle, middle + np.array([-12, 80])), side))


def test_a_bifurcation_is_neither_stenosis_nor_reference():
    result = measure(fork())
    assert result.lesions == ()
    main = max(result.profiles, key=lambda one: one.length_px)
    assert main.length_px > 200  # the vessel goes on past its side branch
    assert main.reference_px.max() < 13  # and is not as wide as the junction
    assert main.beside.any() and not main.is_measured[main.diameter_px > 14].any()


def test_a_stenosis_near_a_side_branch_is_measured_along_the_whole_vessel():
    (lesion,) = measure(fork((MIDDLE + 45, 40, 60))).lesions
    assert lesion.percent_diameter_stenosis == pytest.approx(60, abs=4)
    assert lesion.length_px == pytest.approx(40, rel=0.15)


def test_a_side_branch_is_no_stenosis_of_its_parent():
    # The parent ends at the bifurcation, one daughter is far thinner.
    parent = vessel(SHAPE, line((80, 5), (80, 120)), 16)
    thin = vessel(SHAPE, line((80, 118), (90, 250)), 5)
    assert measure(joined(parent, thin, vessel(SHAPE, line((80, 118), (20, 240)), 14))).lesions == ()


def test_crossing_vessels_stay_two_and_the_crossing_is_left_out():
    down = line((5, 100), (155, 150))
    mask = joined(oblique(), vessel(SHAPE, down, 8, (40, 30, 60)))
    result = measure(mask)
    assert sum(profile.length_px > 120 for profile in result.profiles) == 2
    (lesion,) = result.lesions
    assert lesion.percent_diameter_stenosis == pytest.approx(60, abs=4)
    assert lesion.minimum_rc == pytest.approx(down[160], abs=3)
    across = max(result.profiles, key=lambda one: one.length_px)
    assert np.nanmax(across.diameter_px[across.is_measured]) < 14


def test_ends_are_no_stenosis():
    # A round end, a pointed one.
    disc = np.hypot(*(np.indices(SHAPE) - np.array(START)[:, None, None])) < 6
    assert measure(joined(oblique(), disc)).lesions == ()
    assert measure(oblique(diameter=lambda arc: np.minimum(12.0, (arc[-1] - arc) / 3))).lesions == ()


def test_an_ostial_stenosis_is_found_where_the_ostium_is_known():
    def ostial(arc):
        return 12.0 - 7 * np.exp(-((arc / 14) ** 2))

    mask = vessel(SHAPE, line(START, STOP), ostial)
    segments = np.where(mask, arcade_id(SyntaxSegment.RCA_PROXIMAL), 0).astype(np.uint8)
    segments[:, 130:][mask[:, 130:]] = arcade_id(SyntaxSegment.RCA_MID)
    (lesion,) = measure(mask, segments=segments).lesions
    assert lesion.percent_diameter_stenosis > 35 and lesion.minimum_rc[1] < 30


def test_the_reference_does_not_follow_diffuse_disease():
    def diseased(arc):  # two thirds of the vessel a quarter narrower
        return np.where((arc > 45) & (arc < 200), 12.0 * 0.75, 12.0)

    result = measure(oblique((120, 40, 50), diameter=diseased))
    lesion = max(result.lesions, key=lambda one: one.percent_diameter_stenosis)
    assert lesion.reference_diameter_px == pytest.approx(12, rel=0.05)
    assert lesion.minimum_lumen_diameter_px == pytest.approx(4.5, abs=0.5)


def test_several_lesions_in_one_vessel():
    mask = vessel((160, 420), line((70.3, 8.2), (92.6, 410.7)), 10.0, (90, 30, 40), (290, 40, 70))
    lesions = sorted(measure(mask).lesions, key=lambda one: one.percent_diameter_stenosis)
    assert [one.percent_diameter_stenosis for one in lesions] == pytest.approx([40, 70], abs=3)
    assert [one.id for one in measure(mask).lesions] == [1, 2]


@pytest.mark.parametrize(("apart", "count"), [(14, 1), (24, 1), (50, 2)])
def test_stenoses_closer_than_three_reference_diameters_are_one_lesion(apart: float, count: int):
    first, second = MIDDLE - apart / 2 - 15, MIDDLE + apart / 2 + 15
    lesions = measure(oblique((first, 30, 50), (second, 30, 70), diameter=11.0)).lesions
    assert len(lesions) == count
    assert sum(len(one.stenoses) for one in lesions) == 2
    worst = max(lesions, key=lambda one: one.percent_diameter_stenosis)
    assert worst.percent_diameter_stenosis == pytest.approx(70, abs=4)
    if count == 1:
        assert worst.length_px == pytest.approx(60 + apart, rel=0.1)


@pytest.mark.parametrize("gap", [8, 20, 45])
def test_a_total_occlusion_is_a_gap_in_the_vessel(gap: float):
    def broken(arc):
        return np.where(np.abs(arc - MIDDLE) < gap / 2, 0.0, 12.0)

    (lesion,) = measure(oblique(diameter=broken), pixel_spacing_mm=0.25).lesions
    row = lesion.to_json(0.25)
    assert lesion.total_occlusion and row["percent_diameter_stenosis"] == 100
    assert row["mld_px"] == row["mld_mm"] == 0
    assert row["rvd_px"] == pytest.approx(12, abs=0.3)
    assert lesion.minimum_rc == pytest.approx((np.array(START) + STOP) / 2, abs=4)
    assert lesion.length_px == pytest.approx(gap, abs=9)


@pytest.mark.parametrize("width", [8.0, 12.0, 20.0])
@pytest.mark.parametrize("diameters", [0.5, 0.75, 1.0, 2.0, 3.0])
def test_a_gap_of_half_a_diameter_and_more_is_an_occlusion(width: float, diameters: float):
    def broken(arc):
        return np.where(np.abs(arc - MIDDLE) < diameters * width / 2, 0.0, width)

    (lesion,) = measure(oblique(diameter=broken)).lesions
    assert lesion.total_occlusion and lesion.percent_diameter_stenosis == 100


@pytest.mark.parametrize("percent", [95, 97, 98, 99, 99.94, 100])
def test_a_lumen_that_the_picture_cannot_show_is_an_occlusion(percent: float):
    for soft in (False, True):
        mask = oblique((MIDDLE, 40, percent), diameter=12.0)
        if soft:
            mask = vessel_at_four_times(mask.shape, (MIDDLE, 40, percent), 12.0)
        (lesion,) = measure(mask).lesions
        assert lesion.total_occlusion == (lesion.minimum_lumen_diameter_px == 0)
        assert lesion.percent_diameter_stenosis == pytest.approx(percent, abs=3)
        if not 96 < percent < 99.5:  # between 0.06 and 0.5 px the drawing decides
            assert lesion.total_occlusion == (percent > 99)


def test_islands_of_a_lumen_below_a_pixel_do_not_part_the_vessel():
    mask = oblique((MIDDLE, 60, 92), diameter=9.0)
    row, column = np.round((np.array(START) + STOP) / 2).astype(int)
    mask[row - 4 : row + 5, column - 4 : column + 5] = False
    mask[row, column - 1 : column + 1] = True  # what the grid has left
    (lesion,) = measure(mask).lesions
    assert lesion.percent_diameter_stenosis > 90
    assert lesion.minimum_rc == pytest.approx([row, column], abs=5)


def test_ends_that_do_not_face_each_other_are_no_occlusion():
    apart = joined(
        vessel(SHAPE, line((30, 10), (30, 110)), 10), vessel(SHAPE, line((100, 140), (100, 250)), 10)
    )
    assert measure(apart).lesions == ()


@pytest.mark.parametrize(("length", "percent"), [(16, 97), (20, 96), (28, 97)])
def test_a_short_narrowing_to_less_than_a_pixel_is_no_break(length: float, percent: float):
    (lesion,) = measure(oblique((MIDDLE, length, percent), diameter=7.0)).lesions
    assert lesion.percent_diameter_stenosis == pytest.approx(percent, abs=8)


def test_a_break_of_two_pixels_is_no_occlusion():
    mask = oblique()
    mask[:, 70:72] = False
    assert measure(mask).lesions == ()


@pytest.mark.parametrize(("length", "percent"), [(14, 88), (20, 92), (24, 85)])
def test_a_lumen_that_blurring_took_below_one_half_is_no_break(length: float, percent: float):
    mask = oblique((MIDDLE, length, percent), diameter=7.0)
    soft = gaussian_filter(vessel_at_four_times(mask.shape, (MIDDLE, length, percent), 7.0), 1.0)
    (lesion,) = measure(soft.clip(0, 1)).lesions
    assert not lesion.total_occlusion
    assert lesion.percent_diameter_stenosis == pytest.approx(percent, abs=7)
    assert lesion.minimum_rc == pytest.approx((np.array(START) + STOP) / 2, abs=2.5)


def vessel_at_four_times(
    shape: tuple[int, int], lesion: tuple[float, float, float], diameter: float
) -> np.ndarray:
    """Return the part of each pixel that is lumen, by drawing at four times the size."""
    fine = vessel(
        (4 * shape[0], 4 * shape[1]),
        4 * line(START, STOP) + 1.5,
        4 * diameter,
        (4 * lesion[0], 4 * lesion[1], lesion[2]),
    )
    return fine.reshape(shape[0], 4, shape[1], 4).mean(axis=(1, 3)).astype(np.float32)


def test_a_break_of_a_blurred_mask_is_no_stenosis():
    mask = oblique(diameter=7.0)
    middle = (np.array(START) + STOP) / 2
    mask[np.linalg.norm(np.moveaxis(np.indices(SHAPE), 0, -1) - middle, axis=-1) < 1.0] = False
    direction = (np.array(STOP) - START) / np.linalg.norm(np.array(STOP) - START)
    mask[np.abs((np.moveaxis(np.indices(SHAPE), 0, -1) - middle) @ direction) < 1.4] = False
    assert not measure(gaussian_filter(mask.astype(np.float32), 0.7).clip(0, 1)).lesions


def test_a_short_stretch_under_another_vessel_is_left_out():
    def diameter(arc: np.ndarray) -> np.ndarray:
        return np.where(arc < 90, 9.0, np.where(arc < 110, 17.0, 6.5))

    result = measure(oblique((180, 30, 50), diameter=diameter))
    (profile,), (lesion,) = result.profiles, result.lesions
    along_line = (profile.points_rc - START) @ (np.array(STOP) - START) / (2 * MIDDLE)
    covered = np.abs(along_line - 100) < 7
    assert profile.overlapped[covered].any() and not profile.is_measured[covered].any()
    # Behind it the vessel is another one, and no stenosis up to its end.
    assert lesion.reference_diameter_px == pytest.approx(6.5, abs=0.4)
    assert lesion.percent_diameter_stenosis == pytest.approx(50, abs=5)
    assert lesion.length_px == pytest.approx(30, rel=0.15)


def test_the_neighbour_s_segment_says_where_a_branch_begins():
    trunk, branch = line((20.3, 10.2), (20.3, 120.7)), line((20.3, 120.7), (140.3, 230.7))
    mask = joined(vessel(SHAPE, trunk, 12.0), vessel(SHAPE, branch, 8.0, (60, 30, 50)))
    mask |= vessel(SHAPE, line((20.3, 120.7), (12.3, 240.7)), 9.0)
    ids = np.zeros(SHAPE, np.uint8)
    columns = np.arange(SHAPE[1])[None, :]
    ids[np.broadcast_to(columns < 131, SHAPE)] = arcade_id(SyntaxSegment("3"))
    ids[np.broadcast_to(columns >= 131, SHAPE)] = arcade_id(SyntaxSegment("4"))
    ids[:22, 131:] = arcade_id(SyntaxSegment("16"))
    for profile in measure(mask, segments=ids).profiles:
        assert profile.direction_known
        assert profile.points_rc[0, 1] < profile.points_rc[-1, 1]


def test_a_vessel_that_would_be_stenosed_everywhere_is_measured_again():
    # Its labels say that it runs the other way than it widens.
    def diameter(arc: np.ndarray) -> np.ndarray:
        return np.where(arc < 20, 14.0, 8.0 + arc / 60)

    mask = vessel(SHAPE, line(START, STOP), diameter, (150, 24, 60))
    (lesion,) = measure(mask).lesions
    assert lesion.percent_diameter_stenosis == pytest.approx(60, abs=8)
    assert lesion.length_px < 40


def test_a_tortuous_vessel():
    columns = np.linspace(10, 390, 1600)
    points = np.column_stack([80 + 28 * np.sin(columns / 22), columns])
    middle = along(points)[-1] / 2
    assert measure(vessel((160, 400), points, 9.0)).lesions == ()
    (lesion,) = measure(vessel((160, 400), points, 9.0, (middle, 36, 60))).lesions
    assert lesion.percent_diameter_stenosis == pytest.approx(60, abs=4)
    assert lesion.length_px == pytest.approx(36, rel=0.15)


def test_vessels_of_one_pixel():
    mask = np.zeros((60, 90), dtype=bool)
    mask[30, 5:85] = True
    result = measure(mask)
    (profile,) = result.profiles
    assert result.lesions == ()
    assert np.median(profile.diameter_px[profile.is_measured]) == pytest.approx(1, abs=0.1)


def test_noise_on_the_walls_and_specks_beside_them():
    random = np.random.default_rng(2)
    mask = oblique((MIDDLE, 44, 60)).astype(float)
    noisy = gaussian_filter(mask + random.normal(0, 0.6, mask.shape), 1.0) > 0.5
    assert (noisy != (mask > 0)).sum() > 100
    (lesion,) = measure(noisy).lesions
    assert lesion.percent_diameter_stenosis == pytest.approx(60, abs=6)


def test_holes_and_islands_change_nothing():
    mask = oblique((MIDDLE, 44, 60))
    mask[56:58, 60:62] = False  # in the lumen
    mask[110:113, 40:43] = mask[20, 200] = True
    (lesion,) = measure(mask).lesions
    assert lesion.percent_diameter_stenosis == pytest.approx(60, abs=3)


@pytest.mark.parametrize("mask", [np.zeros((40, 50), bool), np.ones((40, 50), bool), np.eye(1, dtype=bool)])
def test_masks_without_a_vessel(mask: np.ndarray):
    result = measure(mask)
    assert result.lesions == ()
    json.dumps(result.to_json(), allow_nan=False)


def test_a_vessel_that_runs_out_of_the_picture():
    rows, columns = np.mgrid[:120, :200].astype(float)
    distance = np.abs(rows - 40 - 0.3 * columns) / math.hypot(1, 0.3)
    narrow = 1 - 0.6 * np.exp(-(((columns - 100) / 9) ** 2))
    (lesion,) = measure(distance < 5 * narrow).lesions
    assert lesion.percent_diameter_stenosis == pytest.approx(60, abs=3)


def test_segments_name_the_results_and_hold_the_vessel_together():
    mask = fork((MIDDLE - 60, 40, 50), side=11.5)  # by width alone either branch may go on
    segments = np.zeros(SHAPE, np.uint8)
    segments[mask] = arcade_id(SyntaxSegment.FIRST_DIAGONAL)
    segments[oblique()] = arcade_id(SyntaxSegment.LAD_MID)
    segments[:, :130][mask[:, :130]] = arcade_id(SyntaxSegment.LAD_PROXIMAL)
    result = measure(mask, segments=segments, pixel_spacing_mm=0.3)
    (lesion,) = result.lesions
    assert lesion.segment_id == arcade_id(SyntaxSegment.LAD_PROXIMAL)
    rows = {row["name"]: row for row in result.to_json()["segments"]}
    assert {"6 LAD proximal", "7 LAD mid", "9 first diagonal"} <= set(rows)
    proximal = rows["6 LAD proximal"]
    assert proximal["percent_diameter_stenosis"] == pytest.approx(50, abs=4)
    assert proximal["lesions"] == [lesion.id] and rows["7 LAD mid"]["lesions"] == []
    assert rows["7 LAD mid"]["median_diameter_mm"] == pytest.approx(12 * 0.3, abs=0.1)
    main = max(result.profiles, key=lambda one: one.length_px)
    assert set(main.segment_ids) >= {arcade_id(SyntaxSegment.LAD_PROXIMAL), arcade_id(SyntaxSegment.LAD_MID)}
    assert main.direction_known and main.points_rc[0][1] < main.points_rc[-1][1]


def test_beside_an_occlusion_without_any_lumen_there_is_no_averaged_reference():
    (lesion,) = measure(oblique((MIDDLE, 44, 60))).lesions
    none = replace(lesion, proximal_reference_px=0.0, distal_reference_px=0.0)
    assert none.percent_diameter_stenosis_averaged_reference is None
    assert none.to_json()["percent_diameter_stenosis_averaged_reference"] is None


def test_a_segment_that_fades_out_has_no_stenosis_at_its_end():
    def diameter(arc: np.ndarray) -> np.ndarray:
        return 10 * np.clip((2 * MIDDLE - arc) / 40, 0.1, 1)

    result = measure(oblique(diameter=diameter))
    (segment,) = result.segments
    assert not result.lesions
    assert segment.extent.percent_diameter_stenosis < 20
    assert result.profiles[0].smoothed_px[result.profiles[0].is_measured].min() < 5


def test_json_is_plain_and_names_its_units():
    result = measure(oblique((MIDDLE, 44, 60)), pixel_spacing_mm=0.2)
    content = json.loads(json.dumps(result.to_json(), allow_nan=False))
    (lesion,), (segment,), (profile,) = content["lesions"], content["segments"], content["profiles"]
    for name in ("mld", "rvd", "averaged_rvd", "length", "proximal_reference", "distal_reference"):
        assert lesion[f"{name}_mm"] == pytest.approx(0.2 * lesion[f"{name}_px"], abs=1e-3)
        assert segment[f"{name}_px"] is None or segment[f"{name}_mm"] is not None
    assert lesion["reference_method"] == "interpolated"
    assert lesion["mld_xy"] == pytest.approx([129.5, 79.9], abs=2.5)
    assert (
        len(profile["diameter_px"]) == len(profile["reference_diameter_px"]) == len(profile["arc_length_px"])
    )
    assert "_mm" not in json.dumps(measure(oblique((MIDDLE, 44, 60))).to_json()["lesions"])


def test_a_phantom_s_lesions():
    config = PhantomConfig(lesion_probability=1.0, stenosis_range_percent=(60, 80), background=False)
    phantom = generate_phantom(4, config)
    result = measure(
        phantom.vessel_mask, segments=phantom.segment_mask, pixel_spacing_mm=phantom.pixel_spacing_mm
    )
    for truth in phantom.lesions:
        at = [np.linalg.norm(one.minimum_rc - truth.centre_rc_px) for one in result.lesions]
        found = result.lesions[int(np.argmin(at))]
        assert min(at) * phantom.pixel_spacing_mm < 1
        assert found.percent_diameter_stenosis == pytest.approx(truth.percent_diameter_stenosis, abs=6)
        assert found.minimum_lumen_diameter_px == pytest.approx(truth.minimum_lumen_diameter_px, abs=0.6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"probability": np.zeros((1, 8, 8))}, r"shape \(height, width\), found \(1, 8, 8\)"),
        ({"probability": np.full((8, 8), np.nan)}, "within 0..1, found nan"),
        ({"probability": np.full((8, 8), 255.0)}, "within 0..1, found 255"),
        ({"probability": np.zeros((8, 8)), "pixel_spacing_mm": 0.0}, "above 0 mm, found 0.0"),
        ({"probability": np.zeros((8, 8)), "segments": np.zeros((8, 9), int)}, r"found \(8, 9\)"),
        ({"probability": np.zeros((8, 8)), "segments": np.full((8, 8), 26)}, "ids 0..25"),
    ],
)
def test_wrong_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        measure(**arguments)
