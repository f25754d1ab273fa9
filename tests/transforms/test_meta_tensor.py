"""Arrays as MONAI tensors, with the metadata of MONAI's own loader."""

from __future__ import annotations

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import LoadImage
from PIL import Image

from monai_lora_sam.transforms import as_meta_tensor

ARRAY = np.arange(12, dtype=np.uint8).reshape(3, 4)


def test_pixels_and_type_stay():
    tensor = as_meta_tensor(ARRAY, "a.png")
    assert isinstance(tensor, MetaTensor) and tensor.dtype == torch.uint8
    np.testing.assert_array_equal(tensor[0].numpy(), ARRAY)
    np.testing.assert_array_equal(as_meta_tensor(ARRAY[::-1].T, "a.png")[0].numpy(), ARRAY[::-1].T)


def test_metadata_are_those_of_monais_loader(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(ARRAY).save(path)
    theirs = LoadImage(reader="PILReader")(path)
    ours = as_meta_tensor(ARRAY.T, str(path))  # MONAI's loader puts columns first
    assert torch.equal(ours[0].as_tensor().float(), theirs.as_tensor().float())
    assert ours.meta["filename_or_obj"] == theirs.meta["filename_or_obj"]
    np.testing.assert_array_equal(ours.meta["spatial_shape"], theirs.meta["spatial_shape"])
    torch.testing.assert_close(ours.affine, theirs.affine)


def test_channels_come_first():
    pixels = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    tensor = as_meta_tensor(pixels, "a.png")
    np.testing.assert_array_equal(tensor.numpy(), pixels.transpose(2, 0, 1))
    assert tensor.meta["spatial_shape"].tolist() == [3, 4] and tensor.meta["original_channel_dim"] == -1
