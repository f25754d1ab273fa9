"""The fingerprint against a hash put together by hand."""

from __future__ import annotations

import hashlib
import struct

import torch

from monai_lora_sam.encoders import weights_fingerprint


def test_hash_is_over_sorted_names_shapes_and_little_endian_float32():
    module = torch.nn.Linear(2, 1)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[1.0, -2.5]]))
        module.bias.copy_(torch.tensor([0.125]))
    content = b"bias(1,)" + struct.pack("<f", 0.125) + b"weight(1, 2)" + struct.pack("<2f", 1.0, -2.5)
    assert weights_fingerprint(module) == hashlib.sha256(content).hexdigest()


def test_meta_weights_have_a_mark():
    with torch.device("meta"):
        module = torch.nn.Linear(2, 1)
    assert weights_fingerprint(module).startswith("meta:")
