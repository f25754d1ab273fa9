"""The lumen refiner against MONAI's network by hand, on any size, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from monai_lora_sam.coronary.networks import LumenRefiner

SMALL = (4, 4, 4, 4, 4, 4)


@pytest.fixture
def refiner() -> LumenRefiner:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LumenRefiner(SMALL, mixed_precision=False).eval()


def test_it_is_monais_network_on_blocks_of_pixels(refiner: LumenRefiner):
    image, probability = torch.rand(1, 1, 32, 64), torch.ones(1, 1, 32, 64)
    read = torch.cat([4 * image - 2, 2 * probability - 1], 1)
    # channel = (what was read, row in the block, column in the block)
    blocks = read.reshape(1, 2, 16, 2, 32, 2).permute(0, 1, 3, 5, 2, 4).reshape(1, 8, 16, 32)
    with torch.inference_mode():
        drawn = refiner.network(blocks)
        expected = torch.zeros(1, 1, 32, 64)
        for row in range(2):
            for column in range(2):
                expected[0, 0, row::2, column::2] = drawn[0, 2 * row + column]
        torch.testing.assert_close(refiner(image, probability), expected)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 95), (1, 7)])
def test_logits_have_the_size_of_any_image(refiner: LumenRefiner, height: int, width: int):
    image, probability = torch.rand(2, 2, 1, height, width)
    refiner.mixed_precision = True
    logits = refiner(image, probability)
    assert logits.shape == (2, 1, height, width) and logits.dtype == torch.float32


def test_all_of_it_learns(refiner: LumenRefiner):
    image, probability = torch.rand(2, 2, 1, 64, 64)
    refiner.train()(image, probability).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in refiner.parameters())


def test_it_is_built_again_from_its_configuration(refiner: LumenRefiner):
    again = LumenRefiner(**refiner.config, mixed_precision=False).eval()
    again.load_state_dict(refiner.state_dict())
    image, probability = torch.rand(2, 1, 1, 40, 40)
    torch.testing.assert_close(again(image, probability), refiner(image, probability), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("image", "probability", "message"),
    [
        ((1, 3, 8, 8), (1, 1, 8, 8), r"image: expected \(B, 1, H, W\), found \(1, 3, 8, 8\)"),
        ((1, 1, 8, 8), (1, 8, 8), r"probability: expected \(B, 1, H, W\), found \(1, 8, 8\)"),
        ((1, 1, 8, 8), (1, 1, 8, 9), r"probability: expected \(1, 1, 8, 8\), found \(1, 1, 8, 9\)"),
    ],
)
def test_other_shapes_are_refused(
    refiner: LumenRefiner, image: tuple[int, ...], probability: tuple[int, ...], message: str
):
    with pytest.raises(ValueError, match=message):
        refiner(torch.zeros(image), torch.zeros(probability))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"features": (4, 4)}, r"features: expected 6 numbers above 0, found \(4, 4\)"),
        ({"features": (4, 4, 4, 4, 4, 0)}, "features: expected 6 numbers above 0"),
        ({"block": 0}, "block: expected 1 or more, found 0"),
    ],
)
def test_an_impossible_configuration_is_refused(given: dict, message: str):
    with pytest.raises(ValueError, match=message):
        LumenRefiner(**given)
