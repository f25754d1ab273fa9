"""Encoders with 4-bit linear layers: bitsandbytes' own numbers, files, devices without weights, and errors."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers.models.sam.modeling_sam import SamVisionEncoder

from monai_lora_sam.encoders import ImageEncoder, build_encoder, dequantise_encoder, save_encoder
from monai_lora_sam.encoders.quantise import quantise_encoder
from monai_lora_sam.encoders.sam import SamEncoder

functional = pytest.importorskip("bitsandbytes.functional")
Build = Callable[..., ImageEncoder]


@pytest.fixture
def build() -> Build:
    """Build a small encoder; always the same random weights."""

    def make(name: str = "tiny", **settings) -> ImageEncoder:
        side = {"tiny": 56, "mini_vit": 32, "medsam_lite": 16}[name]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return build_encoder(name, image_size=side, **settings)

    return make


def image_for(encoder: ImageEncoder) -> Tensor:
    side = encoder.image_size
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))


def levels(encoder: ImageEncoder) -> list[Tensor]:
    with torch.no_grad():
        return encoder(image_for(encoder))


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def linear_layers(encoder: ImageEncoder) -> dict[str, nn.Linear]:
    return {name: module for name, module in encoder.model.named_modules() if isinstance(module, nn.Linear)}


def rounded(weight: Tensor) -> Tensor:
    """Return weights as bitsandbytes' own functions round them."""
    packed, state = functional.quantize_4bit(weight, blocksize=64, compress_statistics=True, quant_type="nf4")
    return functional.dequantize_4bit(packed, state)


@pytest.mark.parametrize("name", ["tiny", "mini_vit", "medsam_lite"])
def test_features_are_those_of_weights_that_bitsandbytes_rounds(build: Build, name: str):
    plain, quantised = build(name), build(name, quantise="nf4")
    exact = levels(plain)
    assert quantised.quantisation == "nf4" and plain.quantisation is None
    assert quantised.fingerprint == plain.fingerprint and not quantised.training
    assert all(type(layer).__mro__[1].__name__ == "Linear4bit" for layer in linear_layers(quantised).values())
    for layer in linear_layers(plain).values():
        layer.weight.data = rounded(layer.weight.data)
    assert same(levels(quantised), levels(plain))
    assert not same(levels(quantised), exact)


def test_under_autocast_it_computes_as_a_plain_layer_does(build: Build):
    plain, quantised = build(), build(quantise="nf4")
    for layer in linear_layers(plain).values():
        layer.weight.data = rounded(layer.weight.data)
    with torch.autocast("cpu", torch.bfloat16):
        assert same(levels(quantised), levels(plain))
    assert same(levels(quantised), levels(plain))  # no bias was rounded meanwhile
    assert levels(build(quantise="nf4", dtype=torch.bfloat16))[0].dtype is torch.bfloat16


def test_a_weight_takes_half_a_byte_and_a_block_of_64_one_more(build: Build):
    plain, quantised = build("mini_vit"), build("mini_vit", quantise="nf4")
    weights = [layer.weight.numel() for layer in linear_layers(plain).values()]
    saved = plain.weight_bytes - quantised.weight_bytes
    assert saved == pytest.approx(sum(4 * n - n / 2 - n / 64 * (1 + 4 / 256) for n in weights), rel=0.01)
    assert quantised.weight_bytes == sum(t.nbytes for t in quantised.state_dict().values())


def test_it_goes_back_to_full_precision(build: Build):
    encoder = build(quantise="nf4")
    features, fingerprint = levels(encoder), encoder.fingerprint
    dequantise_encoder(encoder)
    assert encoder.quantisation is None and same(levels(encoder), features)
    assert all(type(layer) is nn.Linear for layer in linear_layers(encoder).values())
    assert encoder.fingerprint != fingerprint  # rounded weights are another base


@pytest.mark.parametrize("name", ["tiny", "mini_vit", "medsam_lite"])
@pytest.mark.parametrize("quantise", [None, "nf4"])
def test_saved_and_loaded_it_is_the_same_to_the_bit(
    build: Build, tmp_path: Path, name: str, quantise: str | None
):
    encoder = build(name, quantise="nf4")
    save_encoder(encoder, tmp_path)
    loaded = build_encoder(name, tmp_path, encoder.image_size, quantise=quantise)
    assert same(levels(loaded), levels(encoder))
    assert (loaded.quantisation, loaded.fingerprint) == ("nf4", encoder.fingerprint)
    expected = encoder.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in loaded.state_dict().items())


def test_transformers_reads_what_is_saved(sam_config, randomise, tmp_path: Path):
    encoder = SamEncoder(sam_config(), "sam_vit_b", 96)
    randomise(encoder)
    quantise_encoder(encoder)
    save_encoder(encoder, tmp_path)
    model = SamVisionEncoder.from_pretrained(tmp_path, device_map="cpu").eval()
    weight, own = model.layers[0].mlp.lin1.weight, encoder.model.layers[0].mlp.lin1.weight
    assert torch.equal(weight.data, own.data)
    assert torch.equal(
        functional.dequantize_4bit(weight.data, weight.quant_state),
        functional.dequantize_4bit(own.data, own.quant_state),
    )


def test_a_state_dict_goes_into_another(build: Build):
    first = build(quantise="nf4")
    second = build_encoder("tiny", image_size=56, quantise="nf4")
    assert not same(levels(first), levels(second))
    second.load_state_dict(first.state_dict())
    assert same(levels(first), levels(second))


def test_gradients_reach_the_image_and_no_weight(build: Build):
    encoder = build(quantise="nf4").requires_grad_(False)
    image = image_for(encoder).requires_grad_()
    encoder(image)[-1].sum().backward()
    assert image.grad is not None and image.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in encoder.parameters())


def test_encoders_that_the_message_names_have_linear_layers():
    with pytest.raises(
        ValueError, match=r"mini: expected .*linear layers.*medsam_lite, mini_vit.*sam_vit_b"
    ) as e:
        build_encoder("mini", quantise="nf4")
    with torch.device("meta"):
        named = [name for name in ("medsam_lite", "mini_vit", "sam_vit_b", "sam3") if name in str(e.value)]
        assert len(named) == 4 and all(linear_layers(build_encoder(name)) for name in named)


def test_other_kinds_and_missing_weights_are_refused(build: Build):
    with pytest.raises(ValueError, match="quantise: expected None or 'nf4', found 'int8'"):
        build(quantise="int8")
    with pytest.raises(ValueError, match="tiny: expected weights to quantise"), torch.device("meta"):
        build(quantise="nf4")
    with pytest.raises(ValueError, match="tiny: expected weights in full precision, found nf4"):
        build(quantise="nf4").renew_fingerprint()


def test_without_bitsandbytes_the_message_says_how_to_get_it(build: Build, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "monai_lora_sam.encoders.quantised_linear", raising=False)
    monkeypatch.delattr("monai_lora_sam.encoders.quantised_linear", raising=False)
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"needs bitsandbytes: pip install 'monai-lora-sam\[qlora\]'"
    ):
        build(quantise="nf4")
    assert build().quantisation is None


@pytest.fixture
def saved(build: Build, tmp_path: Path) -> Path:
    return save_encoder(build(quantise="nf4"), tmp_path)


def rewrite(folder: Path, change: Callable[[dict[str, Tensor]], None], seal: bool) -> None:
    """Change tensors of a file; ``seal`` writes the metadata that go with the changed ones."""
    from safetensors import safe_open

    from monai_lora_sam.encoders.quantise import TENSORS, _digest

    file = folder / "model.safetensors"
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata | ({TENSORS: _digest(tensors)} if seal else {}))


def layer_name(tensors: dict[str, Tensor]) -> str:
    return next(name.removesuffix(".absmax") for name in tensors if name.endswith(".weight.absmax"))


def test_changed_weights_are_refused(saved: Path):
    rewrite(saved, lambda tensors: tensors[layer_name(tensors)].add_(1), seal=False)
    with pytest.raises(ValueError, match=r"expected 4-bit weights as save_encoder wrote them .*found others"):
        build_encoder("tiny", saved)


def test_numbers_by_which_memory_is_read_are_checked(saved: Path):
    import json

    def enlarge(tensors: dict[str, Tensor]) -> None:
        key = layer_name(tensors) + ".quant_state.bitsandbytes__nf4"
        numbers = json.loads(bytes(tensors[key].tolist()))
        tensors[key] = torch.tensor(
            list(json.dumps(numbers | {"blocksize": 4096}).encode()), dtype=torch.uint8
        )

    rewrite(saved, enlarge, seal=True)
    with pytest.raises(ValueError, match=r"expected the quantisation \{.*64.*found \{.*4096"):
        build_encoder("tiny", saved)


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        (
            ".absmax",
            torch.zeros(1, dtype=torch.uint8),
            r"1 of another shape: .*absmax \(expected .* found \(1,\)",
        ),
        (".nested_absmax", None, r"1 missing: .*nested_absmax"),
        (".quant_state.bitsandbytes__nf4", torch.zeros(4, dtype=torch.uint8), "numbers of its quantisation"),
        ("", torch.zeros(0, 1, dtype=torch.uint8), r"1 of another shape: .*weight"),
        (".quant_map", torch.full((16,), torch.nan), r"1 not finite .*quant_map"),
        (
            ".quant_map",
            torch.zeros(16, dtype=torch.int32),
            r"quant_map: expected torch.float32, found torch.int32",
        ),
    ],
)
def test_misshapen_tensors_are_listed(saved: Path, part: str, value: Tensor | None, message: str):
    def change(tensors: dict[str, Tensor]) -> None:
        key = layer_name(tensors) + part
        if value is None:
            del tensors[key]
        else:
            tensors[key] = value

    rewrite(saved, change, seal=True)
    with pytest.raises(ValueError, match=message) as error:
        build_encoder("tiny", saved)
    assert str(saved) in str(error.value)
