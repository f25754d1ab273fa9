"""Arrays as MONAI tensors, with the keys that MONAI's own loader sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from monai.transforms import LoadImage
from PIL import Image

from monai_lora_sam.transforms import as_meta_tensor


def test_it_is_as_monai_loads_it(tmp_path: Path):
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    theirs = LoadImage(image_only=True, ensure_channel_first=True, reverse_indexing=False)(path)
    ours = as_meta_tensor(pixels, str(path))
    assert ours.shape == theirs.shape == (1, 3, 4)
    assert np.array_equal(ours.numpy(), theirs.numpy())
    for key in ("filename_or_obj", "original_channel_dim"):
        assert key in ours.meta and key in theirs.meta
    assert ours.meta["spatial_shape"].tolist() == [3, 4]


def test_reversed_views_are_taken():
    pixels = np.arange(6, dtype=np.float32).reshape(2, 3)[:, ::-1]
    assert np.array_equal(as_meta_tensor(pixels, "a")[0].numpy(), pixels)
