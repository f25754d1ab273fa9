"""Pictures from files against the arrays that Pillow and SimpleITK wrote."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from monai_lora_sam.images import read_image

GREY = (np.add.outer(np.arange(6) * 5, np.arange(8)) % 256).astype(np.uint8)


def test_a_picture_has_no_modality(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.pixels.dtype == np.float32 and image.modality == "" and image.path == tmp_path / "a.png"
    np.testing.assert_allclose(image.pixels, GREY / 255, atol=1e-7)


def test_a_dicom_file_has_one(tmp_path):
    picture = sitk.GetImageFromArray(GREY)
    picture.SetMetaData("0008|0060", "CT")
    sitk.WriteImage(picture, str(tmp_path / "a.dcm"))
    image = read_image(tmp_path / "a.dcm")
    assert image.modality == "CT"
    np.testing.assert_allclose(image.pixels, GREY / 255, atol=1e-7)


def test_frames_and_nan_are_refused(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.stack([GREY, GREY])), str(tmp_path / "a.dcm"))
    with pytest.raises(ValueError, match=r"a\.dcm: expected a single frame, found 2 frames"):
        read_image(tmp_path / "a.dcm")
    bad = np.full((4, 4), np.nan, np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(bad), str(tmp_path / "a.tif"))
    with pytest.raises(ValueError, match=r"a\.tif: expected finite pixels, found 16"):
        read_image(tmp_path / "a.tif")
