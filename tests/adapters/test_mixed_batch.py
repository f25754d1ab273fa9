"""One batch with an adapter for each image equals one image at a time, with windows and in 4 bits too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from monai_lora_sam.adapters import AdapterStack, apply_strategy, mixed_batch
from monai_lora_sam.encoders import ImageEncoder, build_encoder
from monai_lora_sam.encoders.quantise import quantise_encoder

NAMES = ["ct", None, "mr", "ct"]


def with_adapters(encoder: ImageEncoder) -> AdapterStack:
    """Put two adapters of other layers and ranks on an encoder."""
    stack = AdapterStack(encoder)
    with torch.random.fork_rng():
        torch.manual_seed(4)
        stack.add("ct", r=4, targets="all")
        stack.add("mr", r=2)
        for name, parameter in stack.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    return stack.eval()


@pytest.fixture(params=["sam3", "sam", "tinyvit", "mini", "4 bits"])
def stack(request: pytest.FixtureRequest, make_encoder: Callable[..., ImageEncoder]) -> AdapterStack:
    if request.param in ("tinyvit", "mini"):
        name = {"tinyvit": "medsam_lite"}.get(request.param, request.param)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return with_adapters(build_encoder(name, False, 64))
    encoder = make_encoder("sam" if request.param == "sam" else "sam3")
    if request.param == "4 bits":
        pytest.importorskip("bitsandbytes.functional")
        quantise_encoder(encoder)
    return with_adapters(encoder)


def test_it_equals_one_image_at_a_time(stack: AdapterStack):
    side = stack.encoder.image_size
    images = torch.randn(len(NAMES), 3, side, side, generator=torch.Generator().manual_seed(1))
    stack.activate("mr")
    with torch.no_grad():
        plain = stack(images)
        with mixed_batch(stack, NAMES):
            mixed = stack(images)
        assert all(torch.equal(a, b) for a, b in zip(stack(images), plain, strict=True))  # as before
        for index, name in enumerate(NAMES):
            stack.activate(*([name] if name else []))
            alone = stack(images[index : index + 1])
            for one, other in zip(mixed, alone, strict=True):
                torch.testing.assert_close(one[index : index + 1], other, atol=1e-4, rtol=1e-4)
    assert stack.active == ("ct",)
    assert not torch.allclose(mixed[-1][0], plain[-1][0], atol=1e-3)


def test_bad_names_and_batches_are_refused(make_encoder: Callable[..., ImageEncoder], image: Callable):
    stack = with_adapters(make_encoder())
    with pytest.raises(KeyError, match="no adapter 'us'"), mixed_batch(stack, ["us"]):
        pass
    with pytest.raises(ValueError, match="expected one for each image, found none"), mixed_batch(stack, []):
        pass
    with mixed_batch(stack, ["ct"] * 3), pytest.raises(ValueError, match="a batch of 3 images, found 2"):
        stack(image())
    apply_strategy(stack, "frozen", "still")
    with pytest.raises(ValueError, match="still: expected a LoRA adapter"), mixed_batch(stack, ["still"]):
        pass
    stack.train()
    with pytest.raises(ValueError, match="evaluation mode"), mixed_batch(stack, ["ct"]):
        pass
