"""Pictures keep their colours; grey ones get three equal channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from monai_lora_sam.images import read_colour_image, read_image

COLOURS = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_colours_are_those_of_the_file(tmp_path: Path, name: str) -> None:
    Image.fromarray(COLOURS).save(tmp_path / name)
    image = read_colour_image(tmp_path / name)
    np.testing.assert_allclose(image.pixels, COLOURS / 255, atol=1e-6)
    assert image.pixels.dtype == np.float32
    np.testing.assert_allclose(image.grey, read_image(tmp_path / name).pixels, atol=1e-6)


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA", "I;16"])
def test_other_kinds_of_pictures(tmp_path: Path, mode: str) -> None:
    if mode == "I;16":
        Image.fromarray(COLOURS[..., 0].astype(np.uint16) * 257).save(tmp_path / "a.png")
    else:
        Image.fromarray(COLOURS).convert(mode).save(tmp_path / "a.png")
    pixels = read_colour_image(tmp_path / "a.png").pixels
    assert pixels.shape == (9, 7, 3)
    if mode == "RGBA":
        np.testing.assert_allclose(pixels, COLOURS / 255, atol=1e-6)
    else:
        assert (pixels == pixels[..., :1]).all()
        np.testing.assert_array_equal(pixels[..., 0], read_image(tmp_path / "a.png").pixels)


def test_dicom_is_read_in_grey() -> None:
    path = get_testdata_file("MR_small.dcm")
    image = read_colour_image(path)
    assert image.modality == "MR"
    np.testing.assert_array_equal(image.pixels[..., 2], read_image(path).pixels)


def test_damaged_pictures_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nrest")
    with pytest.raises(ValueError, match=r"a\.png: expected a readable PNG"):
        read_colour_image(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError, match="expected an image file, found nothing"):
        read_colour_image(tmp_path / "b.png")
