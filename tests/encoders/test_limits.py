"""Configurations and checkpoints beyond use are refused by one line, before anything is allocated."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from monai_lora_sam.encoders import ENCODERS, build_checked, build_encoder, save_encoder


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ENCODERS.load("tiny").weights, tmp_path / "tiny"))


def change(folder: Path, entries: dict) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["backbone_config"].update(entries)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    "entries",
    [
        {"global_attn_indexes": [1, 5]},
        {"window_size": 6},
        {"num_attention_heads": 4},
        {"layer_norm_eps": 1e-3},
    ],
)
def test_the_fingerprint_covers_the_architecture(tiny, entries):
    before = build_encoder("tiny", tiny).fingerprint
    change(tiny, {"transformers_version": "9", "dtype": "float32", "image_size": 504})
    assert build_encoder("tiny", tiny).fingerprint == before
    change(tiny, entries)
    assert build_encoder("tiny", tiny).fingerprint != before


@pytest.mark.parametrize(
    "entries",
    [
        {"hidden_size": 10**6},
        {"num_hidden_layers": 10**9},
        {"hidden_size": "144"},
        {"num_attention_heads": 0},
        {"hidden_act": "nothing"},
        {"patch_size": -14},
    ],
)
def test_configurations_that_cannot_be_are_one_line(tiny, entries):
    change(tiny, entries)
    with pytest.raises(ValueError, match="tiny") as error:
        build_encoder("tiny", tiny)
    assert "\n" not in str(error.value)


def test_a_network_beyond_use_is_refused_before_it_is_built():
    with pytest.raises(ValueError, match=r"card: expected .*at most 4000000000 parameters, found 4295032832"):
        build_checked(lambda: torch.nn.Linear(65536, 65536), {"width": 65536}, "card")
    with pytest.raises(ValueError, match="card: width: expected numbers up to 65536"):
        build_checked(lambda: torch.nn.Linear(1, 1), {"blocks": [{"width": 10**12}]}, "card")


def test_configuration_and_weights_of_two_saves_are_refused(tmp_path):
    first, second = (save_encoder(build_encoder("tiny"), tmp_path / name) for name in ("a", "b"))
    assert build_encoder("tiny", first).image_size == 336
    change(second, {"window_size": 6})
    shutil.copy(second / "config.json", first)
    with pytest.raises(
        ValueError, match=r"config.json: expected the configuration that the weights beside it"
    ):
        build_encoder("tiny", first)


def test_broken_archives_are_one_line(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.zeros(300)}, path)
    whole = path.read_bytes()
    for at in range(0, len(whole), 97):
        path.write_bytes(whole[:at] + b"\xff\x00\x01" + whole[at + 3 :])
        try:
            build_encoder("sam_vit_b", path)
        except ValueError as error:
            assert str(path) in str(error) and "\n" not in str(error)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(2 * 10**6))
    with pytest.raises(
        ValueError, match=r"weights.pth: refused, since \d+ bytes would be unpacked to 2000000"
    ):
        build_encoder("sam_vit_b", path)


@pytest.mark.parametrize("header", [b"\xff" * 8, (10**6).to_bytes(8, "little"), b"\x02" + bytes(7) + b"[]"])
def test_broken_safetensors_are_one_line(tiny, header):
    (tiny / "model.safetensors").write_bytes(header)
    with pytest.raises(ValueError, match=r"model.safetensors: not a whole safetensors file"):
        build_encoder("tiny", tiny)


def test_the_table_takes_no_arguments(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["monai_lora_sam.encoders", "tiny"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("monai_lora_sam.encoders", run_name="__main__")
    assert ended.value.code == 2
