"""The head alone: its size, its output's size, and whether thin vessels survive it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from monai_lora_sam.coronary.networks import ViewSegmentationHead
from monai_lora_sam.networks import SegmentationHead


def pyramid(batch: int = 1, channels: int = 8, sides: tuple[int, ...] = (16, 8, 4)) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(batch, channels, side, side, generator=generator) for side in sides]


def test_size_on_sam3():
    with torch.device("meta"):
        head = ViewSegmentationHead((256,) * 4, out_channels=1)
    view = sum(p.numel() for part in (head.conditioning,) for p in part.parameters())
    whole = sum(p.numel() for p in head.parameters())
    assert 2.7e6 < whole - view < 3.3e6
    assert 0.9e6 < view < 1.1e6


@pytest.mark.parametrize("size", [(56, 56), (57, 43), (30, 91), (8, 8)])
def test_logits_have_the_images_size(size: tuple[int, int]):
    logits = ViewSegmentationHead((8,) * 3, out_channels=5)(pyramid(2), torch.rand(2, 3, *size))
    assert logits.shape == (2, 5, *size)


def test_levels_may_differ_in_channels():
    levels = [torch.rand(1, 8, 8, 8), torch.rand(1, 12, 4, 4)]
    assert ViewSegmentationHead((8, 12), 1)(levels, torch.rand(1, 3, 28, 28)).shape == (1, 1, 28, 28)


def test_wrong_number_of_levels():
    with pytest.raises(ValueError, match="expected 2 pyramid levels, found 3"):
        ViewSegmentationHead((8, 8), 1)(pyramid(), torch.rand(1, 3, 28, 28))


def test_every_level_and_the_image_reach_the_logits():
    head = ViewSegmentationHead((8,) * 3, 1)
    levels, image = (
        [level.requires_grad_() for level in pyramid()],
        torch.rand(1, 3, 28, 28, requires_grad=True),
    )
    head(levels, image).sum().backward()
    assert all(tensor.grad is not None and tensor.grad.abs().sum() > 0 for tensor in (*levels, image))


def test_a_level_counts_whatever_its_scale():
    fine, coarse, image = torch.randn(1, 8, 8, 8), torch.randn(1, 8, 4, 4), torch.rand(1, 3, 28, 28)
    head = SegmentationHead((8, 8), 1).eval()
    torch.testing.assert_close(
        head([50 * fine, coarse], image), head([fine, 50 * coarse], image), atol=1e-4, rtol=1e-3
    )
    plain = SegmentationHead((8, 8), 1, level_deviation=None).eval()
    plain.load_state_dict(head.state_dict())
    assert not torch.allclose(plain([50 * fine, coarse], image), plain([fine, 50 * coarse], image))


def test_no_view_is_an_unknown_view():
    head = ViewSegmentationHead((8,) * 3, 1).eval()
    image = torch.rand(2, 3, 28, 28)
    unknown = torch.full((2, 2), float("nan"))
    known = torch.tensor([[30.0, 0.0]] * 2)
    # Not to the bit: one row stands for both where there is no view.
    torch.testing.assert_close(head(pyramid(2), image), head(pyramid(2), image, view=unknown))
    assert not torch.allclose(head(pyramid(2), image), head(pyramid(2), image, view=known))


def test_one_view_serves_a_batch_and_another_number_is_refused():
    head = ViewSegmentationHead((8,) * 3, 1).eval()
    image, view = torch.rand(4, 3, 28, 28), torch.tensor([[30.0, -20.0]])
    torch.testing.assert_close(
        head(pyramid(4), image, view=view), head(pyramid(4), image, view=view.expand(4, 2))
    )
    with pytest.raises(ValueError, match=r"1 or 4 view angles.*found 2"):
        head(pyramid(4), image, view=view.expand(2, 2))


def lines(count: int, side: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw a dark line of two to three pixels across each noisy image; return images and masks."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angle = torch.rand(count, 1, 1, generator=generator) * torch.pi
    offset = (torch.rand(count, 1, 1, generator=generator) - 0.5) * side / 2
    middle = (side - 1) / 2
    distance = (rows - middle) * angle.cos() + (columns - middle) * angle.sin() - offset
    mask = (distance.abs() < 1.25).float()[:, None]
    noise = 0.1 * torch.randn(count, 1, side, side, generator=generator)
    return (0.5 - mask + noise).expand(-1, 3, -1, -1), mask


def test_thin_lines_are_learned_through_the_stem():
    """On a frozen random encoder of stride 14 the stem must find what the pyramid cannot hold."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    encoder = nn.Conv2d(3, 8, 14, stride=14).requires_grad_(False)

    def overlap_after_training(stem_sees_image: bool) -> float:
        head = ViewSegmentationHead((8,), 1, width=16)

        def predict(image: Tensor) -> Tensor:
            return head([encoder(image)], image if stem_sees_image else torch.zeros_like(image))

        optimiser = torch.optim.AdamW(head.parameters(), lr=0.01)
        for _ in range(60):
            image, mask = lines(8, 56, generator)
            loss = nn.functional.binary_cross_entropy_with_logits(predict(image), mask)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        image, mask = lines(16, 56, generator)
        with torch.no_grad():
            found = predict(image) > 0
        return float((found & (mask > 0)).sum() / (found | (mask > 0)).sum())

    assert overlap_after_training(stem_sees_image=True) > 0.8
    assert overlap_after_training(stem_sees_image=False) < 0.3
