"""Weights in every form that is taken: the same numbers as transformers' own loading."""

from __future__ import annotations

import json
import os

import pytest
import torch
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    CLIPTextConfig,
    Sam3Config,
    Sam3Model,
    Sam3TrackerVideoConfig,
    Sam3VideoConfig,
    Sam3VideoModel,
    Sam3VisionModel,
    SamConfig,
    SamModel,
)
from transformers.conversion_mapping import get_checkpoint_conversion_mapping

from monai_lora_sam.encoders import ENCODERS, build_encoder, load_encoder, save_encoder
from monai_lora_sam.encoders.sam import infer_sam_config, original_to_transformers


def features(model, image):
    """Return what transformers' own model computes."""
    with torch.no_grad():
        output = model(image)
    return getattr(output, "fpn_hidden_states", None) or [output.last_hidden_state]


def assert_same(encoder, model, image):
    with torch.no_grad():
        levels = encoder(image)
    assert all(torch.equal(a, b) for a, b in zip(levels, features(model, image), strict=True))


@pytest.fixture
def whole_sam3(sam3_config, randomise):
    small = {"hidden_size": 8, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    text = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Sam3Config(
        vision_config=sam3_config(),
        text_config=CLIPTextConfig(vocab_size=16, projection_dim=8, **text),
        geometry_encoder_config=small,
        detr_encoder_config=small,
        detr_decoder_config={**small, "num_queries": 2},
        mask_decoder_config={"hidden_size": 8, "num_attention_heads": 2},
    )
    return randomise(Sam3Model(config))


@pytest.fixture
def whole_sam(sam_config, randomise):
    config = SamConfig(
        vision_config=sam_config(),
        prompt_encoder_config={"hidden_size": 8, "image_size": 96},
        mask_decoder_config={"hidden_size": 8, "mlp_dim": 8, "num_attention_heads": 2},
    )
    return randomise(SamModel(config))


@pytest.mark.parametrize("shard", ["1GB", "20KB"])
def test_whole_sam3(whole_sam3, tmp_path, shard):
    whole_sam3.save_pretrained(tmp_path, max_shard_size=shard)
    assert (tmp_path / "model.safetensors").is_file() == (shard == "1GB")
    reference = Sam3Model.from_pretrained(tmp_path).vision_encoder
    assert_same(build_encoder("sam3", tmp_path), reference, torch.randn(1, 3, 56, 56))


def test_video_sam3(whole_sam3, sam3_config, tmp_path):
    tracker = Sam3TrackerVideoConfig(vision_config=sam3_config(), image_size=56)
    model = Sam3VideoModel(Sam3VideoConfig(detector_config=whole_sam3.config, tracker_config=tracker))
    model.detector_model.load_state_dict(whole_sam3.state_dict())
    model.save_pretrained(tmp_path)
    assert any(
        key.startswith("detector_model.vision_encoder.") for key in load_file(tmp_path / "model.safetensors")
    )
    reference = Sam3Model.from_pretrained(tmp_path).vision_encoder
    assert_same(build_encoder("sam3", tmp_path), reference, torch.randn(1, 3, 56, 56))


def test_vision_only_sam3(whole_sam3, tmp_path):
    whole_sam3.vision_encoder.save_pretrained(tmp_path)
    reference = Sam3VisionModel.from_pretrained(tmp_path)
    assert_same(build_encoder("sam3", str(tmp_path)), reference, torch.randn(1, 3, 56, 56))
    assert_same(build_encoder("sam3", tmp_path / "model.safetensors"), reference, torch.randn(1, 3, 56, 56))


def test_whole_and_vision_only_sam(whole_sam, tmp_path):
    whole_sam.save_pretrained(tmp_path / "whole")
    whole_sam.vision_encoder.save_pretrained(tmp_path / "vision")
    for folder in ("whole", "vision"):
        reference = SamModel.from_pretrained(tmp_path / "whole").vision_encoder
        assert_same(build_encoder("sam_vit_b", tmp_path / folder), reference, torch.randn(1, 3, 96, 96))


def original_form(whole_sam):
    """Give SAM the names of Meta's own checkpoint, written out by hand."""
    names = {
        "patch_embed.projection": "patch_embed.proj",
        "layer_norm1": "norm1",
        "layer_norm2": "norm2",
        "neck.conv1": "neck.0",
        "neck.norm1": "neck.1",
        "neck.conv2": "neck.2",
        "neck.norm2": "neck.3",
        "layers.": "blocks.",
    }
    state = {}
    for key, value in whole_sam.vision_encoder.state_dict().items():
        for ours, theirs in names.items():
            key = key.replace(ours, theirs)
        state[f"image_encoder.{key}"] = value.clone()
    state["prompt_encoder.no_mask_embed.weight"] = torch.zeros(1, 8)
    state["mask_decoder.iou_token.weight"] = torch.zeros(1, 8)
    return state


@pytest.mark.parametrize("wrap", ["plain", "module", "model and optimizer", "vision only"])
def test_original_sam(whole_sam, tmp_path, wrap):
    state = original_form(whole_sam)
    if wrap == "module":
        state = {f"module.{key}": value for key, value in state.items()}
    if wrap == "model and optimizer":
        state = {"model": state, "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}}, "epoch": 3}
    if wrap == "vision only":
        state = {key[14:]: value for key, value in state.items() if key.startswith("image_encoder.")}
    torch.save(state, tmp_path / "sam.pth")
    encoder = build_encoder("sam_vit_b", tmp_path / "sam.pth")
    assert encoder.image_size == 96
    assert [block.window_size for block in encoder.blocks] == [4, 0, 4]
    assert_same(encoder, whole_sam.vision_encoder, torch.randn(1, 3, 96, 96))


def test_original_names_agree_with_transformers_own_mapping():
    # DeepSeek-OCR's checkpoints hold Meta's SAM encoder under "sam_model."; transformers renames it there.
    mapping = get_checkpoint_conversion_mapping("deepseek_ocr2")
    with torch.device("meta"):
        targets = set(build_encoder("sam_vit_b").model.state_dict())
    originals = ["pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias"]
    originals += [f"neck.{index}.weight" for index in range(4)] + ["neck.1.bias", "neck.3.bias"]
    for index in range(12):
        parts = ["norm1", "norm2", "attn.qkv", "attn.proj", "mlp.lin1", "mlp.lin2"]
        originals += [f"blocks.{index}.{part}.{what}" for part in parts for what in ("weight", "bias")]
        originals += [f"blocks.{index}.attn.rel_pos_{axis}" for axis in "hw"]
    for name in originals:
        renamed = f"sam_model.{name}"
        for rule in mapping:
            renamed, _ = rule.rename_source_key(renamed)
        assert renamed == f"vision_tower.sam_encoder.{original_to_transformers(name)}"
    assert {original_to_transformers(name) for name in originals} == targets


def test_full_size_original_form_is_recognised():
    with torch.device("meta"):
        expected = build_encoder("sam_vit_l").model.config
    with torch.device("meta"):
        tensors = build_encoder("sam_vit_l").model.state_dict()
    inferred = infer_sam_config(tensors, ENCODERS.load("sam_vit_b").config())
    for key in (
        "hidden_size",
        "num_attention_heads",
        "mlp_dim",
        "window_size",
        "image_size",
        "num_hidden_layers",
    ):
        assert getattr(inferred, key) == getattr(expected, key), key
    assert list(inferred.global_attn_indexes) == list(expected.global_attn_indexes)


def test_weights_of_another_image_size_keep_their_grid(whole_sam, tmp_path):
    torch.save(original_form(whole_sam), tmp_path / "sam.pth")
    native = build_encoder("sam_vit_b", tmp_path / "sam.pth")
    larger = build_encoder("sam_vit_b", tmp_path / "sam.pth", image_size=128)
    image = torch.randn(1, 3, 128, 128)
    assert (native.image_size, larger.image_size) == (96, 128)
    assert native.fingerprint == larger.fingerprint
    with torch.no_grad():
        assert torch.equal(native(image)[0], larger(image)[0])


def test_half_precision_weights_are_read_as_float32(whole_sam3, tmp_path):
    whole_sam3.vision_encoder.bfloat16().save_pretrained(tmp_path)
    exact, rough = (build_encoder("sam3", tmp_path, dtype=dtype) for dtype in (torch.float32, torch.bfloat16))
    assert {parameter.dtype for parameter in load_encoder("sam3", tmp_path).parameters()} == {torch.float32}
    assert next(exact.parameters()).dtype is torch.float32
    assert exact.fingerprint == rough.fingerprint


def test_loading_draws_no_random_numbers(whole_sam3, tmp_path):
    whole_sam3.vision_encoder.save_pretrained(tmp_path)
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    load_encoder("sam3", tmp_path)
    assert torch.equal(torch.rand(1), expected)


def test_saved_encoders_come_back_and_transformers_reads_them(tmp_path):
    encoder = build_encoder("tiny", image_size=252).to(memory_format=torch.channels_last)
    (tmp_path / "card.json").write_text("{}")
    save_encoder(encoder, tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["card.json", "config.json", "model.safetensors"]
    assert (tmp_path / "model.safetensors").stat().st_mode == (tmp_path / "config.json").stat().st_mode
    again = build_encoder("tiny", tmp_path)
    assert (again.fingerprint, again.image_size) == (encoder.fingerprint, 252)
    assert_same(again, AutoModel.from_pretrained(tmp_path), torch.randn(1, 3, 252, 252))


def test_saving_refuses_adapters(tmp_path):
    encoder = build_encoder("tiny")
    PeftModel(encoder, LoraConfig(r=2, target_modules=["q_proj"]))
    with pytest.raises(ValueError, match="adapters"):
        save_encoder(encoder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_unexpected_misshapen_and_nan_are_all_listed(whole_sam, tmp_path):
    state = original_form(whole_sam)
    del state["image_encoder.neck.3.bias"]
    state["image_encoder.extra"] = torch.zeros(1)
    state["image_encoder.blocks.2.mlp.lin2.bias"] = torch.zeros(3)
    state["image_encoder.blocks.0.norm1.bias"][0] = float("nan")
    torch.save(state, tmp_path / "sam.pth")
    with pytest.raises(ValueError) as raised:
        build_encoder("sam_vit_b", tmp_path / "sam.pth")
    message = str(raised.value)
    assert "sam.pth" in message
    assert "1 missing: neck.layer_norm2.bias" in message
    assert "1 unexpected: extra" in message
    assert "layers.2.mlp.lin2.bias (expected (16,), found (3,))" in message
    assert "1 not finite (NaN or infinity): layers.0.layer_norm1.bias" in message


def test_wrong_family_and_wrong_size_name_the_right_encoder(whole_sam, whole_sam3, tmp_path):
    torch.save(original_form(whole_sam), tmp_path / "sam.pth")
    with pytest.raises(ValueError, match="found family 'sam', which fits 'sam_vit_b'"):
        build_encoder("sam3", tmp_path / "sam.pth")
    whole_sam3.save_pretrained(tmp_path / "sam3")
    with pytest.raises(ValueError, match="found family 'sam3', which fits 'sam3' or 'tiny'"):
        build_encoder("sam_vit_h", tmp_path / "sam3")
    save_encoder(build_encoder("tiny"), tmp_path / "tiny")
    with pytest.raises(ValueError, match="expected weights of 'sam3', found those of 'tiny'"):
        build_encoder("sam3", tmp_path / "tiny")


def test_another_kind_of_model_is_refused(tmp_path):
    save_encoder(build_encoder("tiny"), tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ValueError, match=r"config.json: expected the configuration that the weights"):
        build_encoder("tiny", tmp_path)
    weights = tmp_path / "model.safetensors"
    save_file(load_file(weights), weights)  # as others write it
    with pytest.raises(ValueError, match="'bert'"):
        build_encoder("tiny", tmp_path)
    save_file({"weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"found 0.*begin with: weight"):
        build_encoder("tiny", tmp_path / "other.safetensors")
