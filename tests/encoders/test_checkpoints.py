"""Files that are missing, damaged or dangerous."""

from __future__ import annotations

import json
import os
import pickle
import socket

import pytest
import torch
from safetensors.torch import save_file

from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.encoders.checkpoints import open_checkpoint


class Dangerous:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("save", ["torch", "pickle"])
def test_pickled_code_is_refused_and_not_run(tmp_path, save):
    content = {
        "image_encoder.patch_embed.proj.weight": torch.zeros(1),
        "evil": Dangerous(str(tmp_path / "ran")),
    }
    path = tmp_path / "sam.pth"
    if save == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(Dangerous(str(tmp_path / "ran")), protocol=2))
    with pytest.raises(ValueError, match=r"sam\.pth: refused"):
        build_encoder("sam_vit_b", path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["missing.pth", "missing.safetensors", "weights/missing.pth", "missing"])
def test_missing_files_are_named(name):
    with pytest.raises(FileNotFoundError, match=name):
        build_encoder("sam_vit_b", name)


def test_a_folder_without_weights_says_what_it_found(tmp_path):
    (tmp_path / "sam3.pt").touch()
    with pytest.raises(FileNotFoundError, match=r"expected model\.safetensors .* found sam3\.pt"):
        build_encoder("sam3", tmp_path)


@pytest.mark.parametrize("keep", [0, 4, 200, -1])
def test_truncated_safetensors_are_refused(tmp_path, keep):
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.zeros(100), "b": torch.zeros(100)}, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"model\.safetensors: not a whole safetensors file"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("keep", [0, 10, 500, -10])
def test_truncated_torch_files_are_refused(tmp_path, keep):
    path = tmp_path / "sam.pth"
    torch.save({"a": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"sam\.pth: "):
        open_checkpoint(path)


def test_text_and_bare_tensors_are_no_checkpoints(tmp_path):
    (tmp_path / "page.pth").write_text("<html>not found</html>")
    with pytest.raises(ValueError, match=r"page\.pth"):
        open_checkpoint(tmp_path / "page.pth")
    (tmp_path / "page.safetensors").write_text("<html>not found</html>")
    with pytest.raises(ValueError, match=r"page\.safetensors"):
        open_checkpoint(tmp_path / "page.safetensors")
    torch.save(torch.zeros(2), tmp_path / "tensor.pth")
    with pytest.raises(ValueError, match=r"state dict .* found Tensor"):
        open_checkpoint(tmp_path / "tensor.pth")


def test_shards_must_all_be_beside_the_index(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors"}}))
    with pytest.raises(FileNotFoundError, match="model-00001-of-00002"):
        open_checkpoint(tmp_path)
    index.write_text(json.dumps({"weight_map": {"a": "../elsewhere.safetensors"}}))
    save_file({"a": torch.zeros(1)}, tmp_path.parent / "elsewhere.safetensors")
    with pytest.raises(FileNotFoundError, match="elsewhere"):
        open_checkpoint(tmp_path)
    index.write_text("{}")
    with pytest.raises(ValueError, match="weight_map"):
        open_checkpoint(tmp_path)
    index.write_text("{")
    with pytest.raises(ValueError, match="JSON"):
        open_checkpoint(tmp_path)


def test_only_the_tensors_asked_for_are_read(tmp_path):
    save_file({"a": torch.ones(2), "b": torch.zeros(2)}, tmp_path / "model.safetensors")
    checkpoint = open_checkpoint(tmp_path)
    assert sorted(checkpoint.names) == ["a", "b"]
    assert torch.equal(checkpoint.read(["a"])["a"], torch.ones(2)) and len(checkpoint.read(["a"])) == 1


def test_an_unreachable_hub_says_what_to_do(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(FileNotFoundError, match=r"facebook/sam3: .*no network.*hf auth login.*local folder"):
        build_encoder("sam3", pretrained=True)


def test_hub_ids_are_fetched_without_pickles(monkeypatch, tmp_path):
    asked = {}

    def fetch(repository, allow_patterns):
        asked.update(repository=repository, patterns=allow_patterns)
        save_file({"a": torch.ones(1)}, tmp_path / "model.safetensors")
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert open_checkpoint("facebook/sam-vit-base").names == ["a"]
    assert asked["repository"] == "facebook/sam-vit-base"
    assert not any(pattern.endswith((".bin", ".pt", ".pth", "*")) for pattern in asked["patterns"])
