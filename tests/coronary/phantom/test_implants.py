"""Implants: each kind where and as dense as it should be, stents in vessels, and never in a phantom's truth."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.phantom import (
    IMPLANTS,
    PhantomConfig,
    draw_implants,
    generate_cine,
    generate_phantom,
)
from monai_lora_sam.coronary.phantom.implants import Canvas

SHAPE, SPACING = (160, 200), 0.6


@pytest.mark.parametrize("kind", list(IMPLANTS))
def test_each_kind_is_thin_absorbs_and_repeats_for_a_seed(kind: str):
    seen = []
    for seed in range(6):
        field, again = (
            draw_implants(np.random.default_rng(seed), SHAPE, SPACING, kinds=[kind]) for _ in range(2)
        )
        np.testing.assert_array_equal(field, again)
        assert field.shape == SHAPE and field.dtype == np.float32 and field.min() >= 0.0
        assert (field > 0.02).mean() < 0.3
        seen.append(float(field.max()))
    assert max(seen) > (0.05 if kind == "stents" else 0.25)
    assert np.ptp(seen) > 0


def test_a_rod_absorbs_as_a_round_wire_does():
    """Across a wire of diameter d the ray's length is 2 sqrt(r² - x²), its integral the disc's area."""
    canvas = Canvas((60, 60), 0.5)
    column = 30 * 0.5
    field = canvas.rod(np.array([[-5.0, column], [35.0, column]]), diameter_mm=5.0, attenuation=2.0)
    assert field[30, 30] == pytest.approx(2.0, rel=0.01)
    area = np.pi * 2.5**2 * 2.0 / 5.0  # attenuation per mm of the wire is 2 / 5
    assert field[30].sum() * 0.5 == pytest.approx(area, rel=0.01)
    expected = 2.0 * np.sqrt(1 - (3 * 0.5 / 2.5) ** 2)
    assert field[30, 33] == pytest.approx(expected, rel=0.02)


def test_a_stent_lies_about_its_vessel():
    line = np.stack([np.linspace(20, 140, 80), np.full(80, 100.0)], axis=1)
    vessel = (line, np.full(80, 4.0))
    field = draw_implants(np.random.default_rng(3), SHAPE, SPACING, [vessel], ["stents"])
    columns = np.flatnonzero(field.max(axis=0) > 0.01)
    assert 94 <= columns.min() < 97 and 103 < columns.max() <= 106


def test_without_kinds_one_to_three_are_drawn():
    amounts = [
        float((draw_implants(np.random.default_rng(s), SHAPE, SPACING) > 0.02).mean()) for s in range(12)
    ]
    assert min(amounts) < 0.5 * max(amounts) and max(amounts) > 0.01


@pytest.mark.parametrize(
    ("spacing", "kinds", "message"),
    [
        (0.0, None, "spacing_mm: expected a number above 0"),
        (0.5, ["ring"], "expected kinds of .*found .'ring'"),
    ],
)
def test_bad_input_is_refused(spacing: float, kinds: list[str] | None, message: str):
    with pytest.raises(ValueError, match=message):
        draw_implants(np.random.default_rng(0), SHAPE, spacing, kinds=kinds)


def test_phantoms_keep_their_truth():
    """Seeds of a config with implants differ from those without in the picture alone."""
    plain = {"image_size": 192, "background": False, "photons_range": (1e6, 1e6)}
    darker = 0
    for seed in range(4):
        bare, full = (generate_phantom(seed, PhantomConfig(**plain, implants=p)) for p in (0.0, 1.0))
        np.testing.assert_array_equal(bare.vessel_mask, full.vessel_mask)
        np.testing.assert_array_equal(bare.segment_mask, full.segment_mask)
        assert bare.lesions == full.lesions and bare.view == full.view
        changed = np.abs(bare.image.astype(int) - full.image) > 25
        darker += int((changed & ~full.vessel_mask).sum())
    assert darker > 200  # outside the vessels


def test_cines_show_them_in_every_frame():
    config = {"image_size": 96, "background": False, "photons_range": (1e6, 1e6)}
    bare, full = (generate_cine(4, PhantomConfig(**config, implants=p), frames=3) for p in (0.0, 1.0))
    for one, other in zip(bare.frames, full.frames, strict=True):
        np.testing.assert_array_equal(one.phantom.vessel_mask, other.phantom.vessel_mask)
        assert not np.array_equal(one.phantom.image, other.phantom.image)
