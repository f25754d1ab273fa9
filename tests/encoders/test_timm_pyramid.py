"""Encoders on timm's backbones against timm itself, and their switches."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from monai_lora_sam.adapters import AdapterStack, apply_strategy
from monai_lora_sam.encoders import build_encoder, load_encoder, save_encoder
from monai_lora_sam.encoders.timm_backbone import timm_to_flat
from monai_lora_sam.encoders.timm_pyramid import TimmPyramidConfig, TimmPyramidEncoder
from monai_lora_sam.networks import PromptHead, build_promptable, build_segmenter

NAMES = ["mini", "mini_vit", "repvit_m1"]
BACKBONES = {"mini": "tf_efficientnet_lite0", "mini_vit": "tiny_vit_5m_224", "repvit_m1": "repvit_m1"}


def random_weights(module: nn.Module) -> nn.Module:
    """Give normalisation and attention biases values that matter; they start at 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                for tensor in (part.weight, part.bias, part.running_mean):
                    tensor.copy_(torch.rand(tensor.shape, generator=generator))
            if hasattr(part, "attention_biases"):
                biases = part.attention_biases
                biases.copy_(torch.randn(biases.shape, generator=generator))
    return module


@pytest.fixture(scope="module", params=NAMES)
def encoder(request: pytest.FixtureRequest) -> TimmPyramidEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build_encoder(request.param)
    assert isinstance(built, TimmPyramidEncoder)
    random_weights(built).eval()
    built.renew_fingerprint()
    return built


def picture(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (160, 32)])
def test_maps_have_the_stated_strides_and_channels(
    encoder: TimmPyramidEncoder, size: tuple[int, int]
) -> None:
    with torch.no_grad():
        levels = encoder(picture(2, 3, *size))
    expected = [
        (2, channels, size[0] // stride, size[1] // stride)
        for channels, stride in zip(encoder.channels, encoder.strides, strict=True)
    ]
    assert [tuple(level.shape) for level in levels] == expected
    assert encoder.channels[-1] == 256 and encoder.strides[0] <= 4


@pytest.mark.parametrize("size", [(1, 1), (32, 40), (33, 32), (0, 32)])
def test_other_sizes_are_refused(encoder: TimmPyramidEncoder, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"sides are multiples of 32 from 32 on; nearest: 32"):
        encoder(torch.rand(1, 3, *size))


@pytest.mark.parametrize("backbone", [*BACKBONES.values(), "resnet18", "mobilenetv3_small_050"])
def test_levels_equal_timms_own(backbone: str) -> None:
    """The same weights, by the same seed; the finest levels to the bit, the neck reads the others."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        timms = random_weights(timm.create_model(backbone, features_only=True)).eval()
        torch.manual_seed(0)
        ours = TimmPyramidEncoder(TimmPyramidConfig(backbone, embedding_stride=32), "x", 64)
    random_weights(nn.ModuleList([ours.model.stem, ours.model.layers]))
    read: list[torch.Tensor] = []
    ours.model.neck.register_forward_hook(lambda module, inputs, output: read.extend(inputs[0]))
    with torch.no_grad():
        levels = ours.eval()(picture(1, 3, 64, 96))
        expected = timms(picture(1, 3, 64, 96))
    assert len(levels) == len(expected) and len(read) == 1
    assert all(map(torch.equal, [*levels[:-1], *read], expected))


@pytest.mark.parametrize("name", NAMES)
def test_weights_of_timms_whole_model_load(name: str, tmp_path: Path) -> None:
    """From timm's own folder on the hub, whose `config.json` names its architecture; the neck is always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        whole = random_weights(timm.create_model(BACKBONES[name])).eval()
    timm.models.save_for_hf(whole, str(tmp_path), safe_serialization=True)
    encoder = build_encoder(name, tmp_path)
    features = timm.create_model(BACKBONES[name], features_only=True)
    own = {key: value for key, value in whole.state_dict().items() if timm_to_flat(key, BACKBONES[name])}
    names = {key.replace("stages.", "stages_") for key in own} if "vit" in BACKBONES[name] else own.keys()
    features.load_state_dict(dict(zip(sorted(names), (own[key] for key in sorted(own)), strict=True)))
    with torch.no_grad():
        expected = features.eval()(picture(1, 3, 64, 64))
        levels = encoder(picture(1, 3, 64, 64))
    assert all(map(torch.equal, levels[:-1], expected))
    assert build_encoder(name, tmp_path).fingerprint == encoder.fingerprint


def test_another_architecture_of_timm_is_refused(tmp_path: Path) -> None:
    timm.models.save_for_hf(timm.create_model("repvit_m1"), str(tmp_path), safe_serialization=True)
    with pytest.raises(ValueError, match=r"(?s)for 'mini', found 0 encoders"):
        build_encoder("mini", tmp_path)


def test_a_saved_encoder_comes_back(encoder: TimmPyramidEncoder, tmp_path: Path) -> None:
    save_encoder(encoder, tmp_path)
    again = load_encoder(encoder.name, tmp_path)
    with torch.no_grad():
        assert all(map(torch.equal, encoder(picture(1, 3, 64, 64)), again.eval()(picture(1, 3, 64, 64))))
    assert again.fingerprint == encoder.fingerprint


def test_an_encoder_of_another_name_is_refused(tmp_path: Path) -> None:
    save_encoder(build_encoder("repvit_m1"), tmp_path)
    with pytest.raises(ValueError, match=r"expected weights of 'mini', found those of 'repvit_m1'"):
        build_encoder("mini", tmp_path)


def test_checkpointing_gives_the_same_gradients(encoder: TimmPyramidEncoder) -> None:
    gradients = []
    encoder.requires_grad_(True)
    for enabled in (False, True):
        encoder.set_gradient_checkpointing(enabled)
        encoder.zero_grad()
        sum(level.square().mean() for level in encoder(picture(1, 3, 64, 64))).backward()
        gradients.append([parameter.grad.clone() for parameter in encoder.parameters()])
    encoder.set_gradient_checkpointing(False)
    encoder.zero_grad()
    assert all(map(torch.equal, *gradients))


def test_bfloat16_and_channels_last_are_close(encoder: TimmPyramidEncoder) -> None:
    image = picture(1, 3, 64, 64)
    with torch.no_grad():
        expected = encoder(image)[-1]
        last = encoder(image.to(memory_format=torch.channels_last))[-1]
        with torch.autocast("cpu", torch.bfloat16):
            half = encoder(image)[-1]
    torch.testing.assert_close(last, expected, rtol=1e-4, atol=1e-4)
    similarity = nn.functional.cosine_similarity(half.float().flatten(), expected.flatten(), dim=0)
    assert similarity > 0.99


@pytest.mark.parametrize("name", NAMES)
def test_the_parameters_may_be_bfloat16(name: str) -> None:
    assert build_encoder(name, dtype=torch.bfloat16)(picture(1, 3, 32, 32))[-1].dtype == torch.bfloat16


def test_attention_follows_its_biases_in_evaluation_mode() -> None:
    encoder = build_encoder("mini_vit")
    with torch.no_grad():
        before = encoder(picture(1, 3, 64, 64))[-1]
        random_weights(encoder)
        assert not torch.allclose(before, encoder(picture(1, 3, 64, 64))[-1])


@pytest.mark.parametrize(
    ("name", "flops", "side"), [("mini", 10e9, 512), ("repvit_m1", 10e9, 512), ("mini_vit", 10e9, 384)]
)
def test_encoder_and_mask_decoder_stay_below_ten_gigaflops(name: str, flops: float, side: int) -> None:
    """At the side that the encoder is meant for; two operations for each multiplication with addition."""
    encoder = build_encoder(name).requires_grad_(False)
    head = PromptHead(encoder.channels).requires_grad_(False).eval()
    with FlopCounterMode(display=False) as counter:
        head(encoder(torch.zeros(1, 3, side, side))[-1], side, boxes=torch.tensor([[[1.0, 1.0, 99.0, 99.0]]]))
    assert encoder.image_size == side
    assert 0.8 * flops < counter.get_total_flops() < flops


def test_repvit_and_tinyvit_fuse_for_inference(encoder: TimmPyramidEncoder) -> None:
    fused = encoder.fused()
    with torch.no_grad():
        for level, expected in zip(fused(picture(1, 3, 64, 96)), encoder(picture(1, 3, 64, 96)), strict=True):
            torch.testing.assert_close(level, expected, rtol=1e-4, atol=1e-4)
    layers = [sum(isinstance(part, nn.BatchNorm2d) for part in one.modules()) for one in (encoder, fused)]
    if encoder.name != "mini":
        assert layers[0] > 0 and layers[1] == 0
        assert fused.fingerprint != encoder.fingerprint


def test_an_adapted_encoder_is_not_fused() -> None:
    stack = AdapterStack(build_encoder("repvit_m1"))
    stack.add("ct", r=1, targets="conv")
    with pytest.raises(ValueError, match="expected a plain encoder, found adapters on it"):
        stack.encoder.fused()


@pytest.mark.parametrize(
    ("name", "targets", "layers"),
    [
        ("mini", "conv", 1 + 15 * 2),
        ("mini", "all", 1 + 15 * 2),
        ("mini_vit", "qv", 10),
        ("mini_vit", "qkv", 10),
        ("mini_vit", "proj", 10),
        ("mini_vit", "mlp", 20),
        ("mini_vit", "all", 40),
        ("repvit_m1", "conv", (20 + 3) * 2),
        ("repvit_m1", "all", (20 + 3) * 2 + 3 * 3),
    ],
)
def test_presets_adapt_the_layers_that_they_name(name: str, targets: str, layers: int) -> None:
    """EfficientNet-Lite0: 16 blocks of two 1 × 1 convolutions, the first of one; TinyViT: 10 blocks with attention;
    RepViT-M1: 20 blocks and 3 before a downsampling, which has three more."""
    stack = AdapterStack(build_encoder(name))
    stack.add("ct", r=2, targets=targets)
    adapted = {key.rpartition(".lora_A")[0] for key in stack.tensors("ct") if ".lora_A" in key}
    assert len(adapted) == layers
    assert not [key for key in adapted if "neck" in key or "stem" in key]


def test_adapters_on_convolutions_save_load_and_stack(tmp_path: Path) -> None:
    """Bit-equal: the first adapter alone after the second was trained on it, and both after loading."""
    image = picture(2, 3, 64, 64)
    torch.manual_seed(0)
    base = build_encoder("mini")
    save_encoder(base, tmp_path / "base")
    stack = AdapterStack(base)
    bare = stack(image)[-1]
    results = {}
    for name in ("vessels", "segments"):
        stack.add(name, r=2, targets="conv", layers=None if name == "vessels" else 4)
        stack.train_only(name)
        stack.train()
        optimiser = torch.optim.SGD([p for p in stack.parameters() if p.requires_grad], lr=0.1)
        for _ in range(2):
            optimiser.zero_grad()
            stack(image)[-1].square().mean().sub(0.5).square().backward()
            optimiser.step()
        stack.eval()
        with torch.no_grad():
            results[name] = stack(image)
        stack.save(name, tmp_path / name)
    with torch.no_grad(), stack.using("vessels"):
        assert all(map(torch.equal, stack(image), results["vessels"]))
    with torch.no_grad(), stack.using():
        assert torch.equal(stack(image)[-1], bare)
    assert not torch.equal(results["vessels"][-1], bare)

    again = AdapterStack(build_encoder("mini", tmp_path / "base"))
    for name in ("vessels", "segments"):
        again.load(tmp_path / name)
    again.activate("vessels", "segments")
    with torch.no_grad():
        assert all(map(torch.equal, again(image), results["segments"]))
        merged = again.merge("vessels", "segments")(image)[-1]
    torch.testing.assert_close(merged, results["segments"][-1], rtol=1e-3, atol=1e-3)


def test_the_last_blocks_alone_are_adapted_or_trained() -> None:
    stack = AdapterStack(build_encoder("mini"))
    stack.add("ct", r=2, targets="conv", layers=2)
    assert {key.split("layers.")[1].split(".")[0] for key in stack.tensors("ct")} == {"14", "15"}
    stack = AdapterStack(build_encoder("mini"))
    apply_strategy(stack, "last_n", "ct", last_n=1)
    trained = {name for name, parameter in stack.named_parameters() if parameter.requires_grad}
    assert trained and all("layers.15." in name for name in trained)


def test_statistics_of_batch_normalisation_stay_as_they_are() -> None:
    stack = AdapterStack(build_encoder("mini"))
    apply_strategy(stack, "lora", "ct", r=2, targets="conv")
    before = {name: buffer.clone() for name, buffer in stack.named_buffers()}
    stack.train()
    stack(torch.rand(2, 3, 32, 32))
    assert all(torch.equal(buffer, before[name]) for name, buffer in stack.named_buffers())


@pytest.mark.parametrize("name", NAMES)
def test_heads_take_the_pyramid(name: str) -> None:
    image = picture(1, 3, 50, 70)
    network = build_segmenter(build_encoder(name, image_size=64), out_channels=2, strategy="frozen").eval()
    promptable = build_promptable(name, pretrained=False, image_size=64)
    with torch.no_grad():
        assert network(image).shape == (1, 2, 50, 70)
        masks = promptable(image, boxes=torch.tensor([[[5.0, 5.0, 40.0, 40.0]]]))
    assert masks.logits.shape == (1, 1, 1, 50, 70)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"backbone": "tf_efficientnet_lite00"},
            "expected a model of timm, .*nearest: tf_efficientnet_lite0",
        ),
        ({"backbone": "vit_tiny_patch16_224"}, r"expected levels whose strides double, found \[16, 16, 16\]"),
        ({"backbone": "swin_tiny_patch4_window7_224"}, "expected a sequence of modules with channels first"),
        ({"backbone": "visformer_tiny"}, "expected a pyramid: features_only not implemented"),
        ({"backbone": "vgg11"}, "expected levels that end blocks"),
        ({"embedding_stride": 7}, r"embedding_stride: expected one of \[2, 4, 8, 16, 32\], found 7"),
    ],
)
def test_wrong_configurations(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TimmPyramidConfig(**settings)
