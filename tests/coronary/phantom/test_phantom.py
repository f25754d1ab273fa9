"""Whole phantoms: the same seed, the same bytes; masks against centrelines and against the picture."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.filters import threshold_otsu

from monai_lora_sam.coronary.anatomy import SyntaxSegment, arcade_id
from monai_lora_sam.coronary.phantom import Phantom, PhantomConfig, generate_phantom

S = SyntaxSegment
SMALL = {"image_size": 256}


def polyline_margin(phantom: Phantom) -> np.ndarray:
    """Return (H, W) the distance to the nearest lumen edge, negative inside, from the centrelines alone."""
    shape = phantom.image.shape
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(float)
    margin = np.full(shape, np.inf)
    for line in phantom.centrelines:
        ends = zip(
            line.points_rc_px[:-1],
            line.points_rc_px[1:],
            line.diameter_px,
            line.diameter_px[1:],
            strict=False,
        )
        for first, second, wide, next_wide in ends:
            along = second - first
            t = ((rows - first[0]) * along[0] + (columns - first[1]) * along[1]) / max(along @ along, 1e-12)
            t = np.clip(t, 0, 1)
            distance = np.hypot(rows - first[0] - t * along[0], columns - first[1] - t * along[1])
            margin = np.minimum(margin, distance - 0.5 * ((1 - t) * wide + t * next_wide))
    return margin


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    config = PhantomConfig(**SMALL)
    first, again, other = (generate_phantom(seed, config) for seed in (5, 5, 6))
    assert first.image.tobytes() == again.image.tobytes()
    assert first.segment_mask.tobytes() == again.segment_mask.tobytes()
    assert [x.percent_diameter_stenosis for x in first.lesions] == [
        x.percent_diameter_stenosis for x in again.lesions
    ]
    assert first.image.tobytes() != other.image.tobytes()


def test_a_seed_keeps_its_picture_over_versions_of_the_code() -> None:
    """Compare means of blocks, not bytes, which may differ in the last bit between processors."""
    phantom = generate_phantom(7)
    blocks = phantom.image.reshape(4, 128, 4, 128).mean(axis=(1, 3))
    expected = [
        [112.6, 155.0, 137.5, 84.2],
        [154.4, 122.2, 110.1, 70.6],
        [101.8, 129.7, 127.6, 64.9],
        [55.8, 126.9, 118.5, 39.0],
    ]
    np.testing.assert_allclose(blocks, expected, atol=0.2)
    assert phantom.vessel_mask.sum() == pytest.approx(3639, abs=3)


def test_the_default_is_as_the_contract_says() -> None:
    phantom = generate_phantom(11)
    assert phantom.image.shape == (512, 512) and phantom.image.dtype == np.uint8
    assert phantom.vessel_mask.dtype == bool and phantom.segment_mask.dtype == np.uint8
    assert phantom.segment_mask.max() <= 25
    assert not (phantom.segment_mask > 0)[~phantom.vessel_mask].any()
    assert 0.005 < phantom.vessel_mask.mean() < 0.15
    labels = {arcade_id(line.segment) for line in phantom.centrelines}
    assert set(np.unique(phantom.segment_mask)) - {0} <= labels


def test_the_segment_mask_is_the_projected_lumen() -> None:
    phantom = generate_phantom(3, PhantomConfig(image_size=128, background=False, side="right"))
    margin = polyline_margin(phantom)
    inside = phantom.segment_mask > 0
    assert inside[margin < -0.2].all()
    assert not inside[margin > 0.2].any()


def test_diameters_in_pixels_follow_the_depth() -> None:
    phantom = generate_phantom(4, PhantomConfig(**SMALL))
    arm = phantom.arm
    assert phantom.pixel_spacing_mm == pytest.approx(
        arm.imager_spacing_mm * arm.source_patient_mm / arm.source_detector_mm
    )
    for line in phantom.centrelines:
        expected = line.diameter_mm * arm.source_detector_mm / line.depth_mm / arm.imager_spacing_mm
        np.testing.assert_allclose(line.diameter_px, expected)


def test_the_picture_is_dark_where_the_mask_says() -> None:
    config = PhantomConfig(**SMALL, background=False, photons_range=(1e5, 1e5), mask_minimum_diameter_mm=0.1)
    for seed in (1, 2):
        phantom = generate_phantom(seed, config)
        dark = phantom.image < threshold_otsu(phantom.image)
        mask = phantom.vessel_mask
        # The blurred edge and what has little contrast stay above Otsu's threshold; nothing else is dark.
        assert mask[dark].mean() > 0.9
        assert dark[mask].mean() > 0.4
        row, column = np.rint(phantom.centrelines[0].points_rc_px[20:60]).astype(int).T
        assert phantom.image[row, column].mean() < phantom.image[~mask].mean() - 20


def test_masks_end_at_the_collimator() -> None:
    cut = 0
    for seed in range(16):
        phantom = generate_phantom(seed, PhantomConfig(image_size=128, pixel_spacing_range_mm=(0.12, 0.14)))
        if (phantom.image == 0).mean() > 0.05:
            cut += 1
            assert phantom.image[phantom.vessel_mask].mean() > 15
    assert cut > 0


def test_lesions_are_those_of_the_returned_diameters() -> None:
    found = 0
    for seed in range(12):
        phantom = generate_phantom(seed, PhantomConfig(**SMALL, lesion_probability=1.0))
        for lesion in phantom.lesions:
            found += 1
            centre = np.array(lesion.centre_rc_px)
            nearest = min(
                (float(np.hypot(*(line.points_rc_px[i] - centre))), line, i)
                for line in phantom.centrelines
                if line.segment is lesion.segment
                for i in [int(np.argmin(np.hypot(*(line.points_rc_px - centre).T)))]
            )
            distance, line, index = nearest
            assert distance < 1e-6
            assert line.diameter_mm[index] == pytest.approx(lesion.minimum_lumen_diameter_mm)
            assert line.diameter_px[index] == pytest.approx(lesion.minimum_lumen_diameter_px)
            percent = 100 * (1 - line.diameter_mm[index] / line.reference_diameter_mm[index])
            assert percent == pytest.approx(lesion.percent_diameter_stenosis)
            top, left, bottom, right = lesion.box_rc_px
            assert top < centre[0] < bottom and left < centre[1] < right
    assert found >= 12


def centre_of(phantom: Phantom, segment: SyntaxSegment) -> np.ndarray:
    return np.concatenate([x.points_rc_px for x in phantom.centrelines if x.segment is segment]).mean(axis=0)


@pytest.mark.parametrize("seed", range(4))
def test_segments_lie_where_angiographers_expect_them(seed: int) -> None:
    def drawn(side: str, primary: float, secondary: float) -> Phantom:
        view = (primary, secondary)
        return generate_phantom(seed, PhantomConfig(**SMALL, side=side, dominance="right", view=view))

    right_anterior = drawn("left", -30, -20)
    # RAO caudal: the LAD runs to the right of the picture, the circumflex down on its left.
    assert centre_of(right_anterior, S.LAD_APICAL)[1] > centre_of(right_anterior, S.LCX_DISTAL)[1] + 30
    left_anterior = drawn("left", 45, 25)
    # LAO cranial: the circumflex lies on the right, the LAD comes down on its left.
    assert centre_of(left_anterior, S.LCX_DISTAL)[1] > centre_of(left_anterior, S.LAD_MID)[1]
    assert centre_of(left_anterior, S.LAD_APICAL)[0] > centre_of(left_anterior, S.LAD_PROXIMAL)[0]
    right = drawn("right", 45, 0)
    # LAO: the RCA is a C open to the right; the PDA leaves at its lower end.
    ostium = right.centrelines[0].points_rc_px[0]
    assert centre_of(right, S.RCA_MID)[1] < ostium[1]
    assert centre_of(right, S.RIGHT_POSTERIOR_DESCENDING)[0] > centre_of(right, S.RCA_PROXIMAL)[0]
    assert centre_of(right, S.RIGHT_POSTERIOR_DESCENDING)[1] > centre_of(right, S.RCA_MID)[1]


def test_fixed_settings_are_kept() -> None:
    config = PhantomConfig(**SMALL, side="right", dominance="left", view=(12.0, -7.0), lesion_probability=0.0)
    phantom = generate_phantom(0, config)
    assert (phantom.side, phantom.dominance.value, phantom.view) == ("right", "left", (12.0, -7.0))
    assert phantom.lesions == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 10}, "image_size of at least 64"),
        ({"side": "up"}, "'left' or 'right'"),
        ({"dominance": "both"}, "both"),
        ({"lesion_probability": 1.5}, "from 0 to 1"),
        ({"stenosis_range_percent": (50.0, 100.0)}, "below 100"),
        ({"pixel_spacing_range_mm": (0.3, 0.2)}, "low <= high"),
    ],
)
def test_impossible_configurations_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PhantomConfig(**changes)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="seed from 0 on, found -1"):
        generate_phantom(-1)
