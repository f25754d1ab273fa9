"""Formats told by content, and frames as stored, against Pillow and nibabel."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.images import detect_format, is_image_name
from monai_lora_sam.images.image_files import read_frame, to_grey

GREY = (np.add.outer(np.arange(6) * 5, np.arange(8)) % 256).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "known"), [("a.PNG", True), ("a.nii.gz", True), ("a.ima", True), ("a", False), ("a.txt", False)]
)
def test_names_of_images(name, known):
    assert is_image_name(Path(name)) is known


@pytest.mark.parametrize(
    ("name", "found"), [("a.png", "PNG"), ("a.jpg", "JPEG"), ("a.tif", "TIFF"), ("a.nii", "NIfTI")]
)
def test_formats_are_told_by_content(tmp_path, name, found):
    path = tmp_path / name
    if found == "NIfTI":
        nibabel.save(nibabel.Nifti1Image(GREY.T, np.eye(4)), path)
    else:
        Image.fromarray(GREY).save(path)
    assert detect_format(path) == found
    if found != "JPEG":
        np.testing.assert_array_equal(to_grey(read_frame(path)), GREY)


@pytest.mark.parametrize("name", ["a.jpg", "a.XA", "a", "a.nii.gz", "RCA.LAO30"])
def test_content_decides_and_not_the_name(tmp_path, name):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / name)
    np.testing.assert_array_equal(read_frame(tmp_path / name), GREY)
    nibabel.save(nibabel.Nifti1Image(GREY.T, np.eye(4)), tmp_path / "b.nii.gz")
    (tmp_path / "b.nii.gz").rename(tmp_path / f"b{name}")
    np.testing.assert_array_equal(read_frame(tmp_path / f"b{name}"), GREY)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "found an empty file"), (b"hello, world", "found a file that begins with b'hello, w'")],
)
def test_other_files_are_refused(tmp_path, content, message):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_frame(tmp_path / "a.png")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected an image file, found nothing"):
        read_frame(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError, match="found a folder"):
        detect_format(tmp_path)


def test_several_frames_are_refused(tmp_path):
    frames = [Image.fromarray(GREY), Image.fromarray(GREY)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=[Image.fromarray(255 - GREY)])
    with pytest.raises(ValueError, match="expected a single frame, found 2 frames of 6x8 pixels"):
        read_frame(tmp_path / "a.png")


def test_colour_becomes_luminance_and_grey_keeps_its_type():
    colour = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    np.testing.assert_allclose(to_grey(colour), np.asarray(Image.fromarray(colour).convert("L")), atol=1.01)
    repeated = to_grey(np.repeat(GREY[..., None], 4, axis=2))
    assert repeated.dtype == np.uint8
    np.testing.assert_array_equal(repeated, GREY)
    with pytest.raises(ValueError, match="expected grey, RGB or RGBA pixels, found 5 components"):
        to_grey(np.arange(20).reshape(2, 2, 5))
