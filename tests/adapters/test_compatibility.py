"""LoRA on the layers of a small convolutional network, against PEFT alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn

from monai_lora_sam.adapters import AdapterStack
from monai_lora_sam.encoders import ImageEncoder


class ConvEncoder(ImageEncoder):
    """Run 3 x 3 and 1 x 1 convolutions, a linear layer and a normalisation at a stride of 4."""

    family = "conv"

    def __init__(self) -> None:
        block = nn.ModuleDict(
            {
                "spatial": nn.Conv2d(8, 8, 3, padding=1),
                "pointwise": nn.Conv2d(8, 12, 1),
                "depthwise": nn.Conv2d(12, 12, 1, groups=3),
                "norm": nn.LayerNorm(12),
                "project": nn.Linear(12, 8),
            }
        )
        super().__init__(
            nn.ModuleDict({"patch": nn.Conv2d(3, 8, 4, stride=4), "stages": nn.ModuleList([block])}),
            name="conv",
            image_size=16,
            patch_size=4,
            strides=[4],
            channels=[8],
            pixel_mean=(0.5, 0.5, 0.5),
            pixel_std=(0.5, 0.5, 0.5),
        )

    @property
    def blocks(self) -> Any:
        return self.model["stages"]

    def encode(self, image: Tensor) -> list[Tensor]:
        hidden = self.model["patch"](image)
        for block in self.blocks:
            for name in ("spatial", "pointwise", "depthwise"):
                hidden = block[name](hidden)
            hidden = block["project"](block["norm"](hidden.movedim(1, -1))).movedim(-1, 1)
        return [hidden]


@pytest.fixture
def conv() -> Any:
    def make(seed: int = 0) -> ConvEncoder:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return ConvEncoder().eval()

    return make


@pytest.fixture
def picture() -> Tensor:
    return torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def test_pointwise_convolutions_and_linear_layers_as_peft_alone(
    conv, picture, features, same, train_steps, tmp_path
):
    stack = AdapterStack(conv())
    stack.add("liver", r=4, alpha=8, targets=["pointwise", "project"], dropout=0.0)
    stack.train_only("liver")
    moved = train_steps(stack, picture)
    assert len(moved) == 4 and all(".liver." in name for name in moved)
    stack.save("liver", tmp_path / "liver")
    found = features(stack, picture)

    config = LoraConfig(r=4, lora_alpha=8, target_modules=["pointwise", "project"])
    alone = get_peft_model(conv(), config)
    assert stack.budget()["liver"]["parameters"] == alone.get_nb_trainable_parameters()[0]
    loaded = PeftModel.from_pretrained(conv(), tmp_path / "liver").eval()
    assert same(found, features(loaded, picture)) and not same(found, features(conv(), picture))

    again = AdapterStack(conv())
    again.load(tmp_path / "liver")
    again.activate("liver")
    assert again.fingerprint("liver") == stack.fingerprint("liver")
    assert same(found, features(again, picture))
    merged = features(again.merge("liver"), picture)
    torch.testing.assert_close(merged, found, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (["spatial"], "stages.0.spatial.*1 x 1 convolution.*found Conv2d of 3 x 3"),
        (["depthwise"], "found Conv2d of 1 x 1 with 3 groups"),
        (["norm"], "linear layer or a 1 x 1 convolution.*found LayerNorm"),
        (["project", "q_proj"], r"\['q_proj'\]: found none of them"),
        ([], "preset or a list of module names"),
        ([3], "preset or a list of module names"),
        ("qv", "expected one of .*found 'conv'"),
    ],
)
def test_other_targets_are_refused_and_the_stack_stays_as_it_was(conv, targets, message):
    stack = AdapterStack(conv())
    with pytest.raises(ValueError, match=message):
        stack.add("liver", targets=targets)
    assert stack.names == () and isinstance(stack.model, ConvEncoder)


def test_names_of_modules_choose_layers_of_a_transformer(make_encoder, image, features, same):
    preset, listed = AdapterStack(make_encoder()), AdapterStack(make_encoder())
    for stack, targets in ((preset, "qv"), (listed, ["q_proj", "v_proj"])):
        with torch.random.fork_rng():
            torch.manual_seed(1)
            stack.add("vessels", r=2, targets=targets)
    assert list(preset.tensors("vessels")) == list(listed.tensors("vessels"))
    assert same(features(preset, image()), features(listed, image()))
