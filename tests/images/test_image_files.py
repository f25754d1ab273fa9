"""One stored picture from each kind of file, compared with what was written; damaged and misnamed files."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from monai_lora_sam.images import detect_format, is_image_name
from monai_lora_sam.images.image_files import read_frame, to_grey

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], axis=-1)


def written(path: Path) -> Path:
    deep = GREY.astype(np.uint16) * 100
    if path.suffix == ".tif":
        sitk.WriteImage(sitk.GetImageFromArray(deep), str(path))
    elif path.suffix == ".nii":
        nibabel.save(nibabel.Nifti1Image(deep.T.astype(np.int16), np.eye(4)), path)
    else:
        Image.fromarray(GREY).save(path, quality=100)
    return path


@pytest.mark.parametrize(
    ("name", "found", "factor"),
    [("a.png", "PNG", 1), ("a.jpg", "JPEG", 1), ("a.tif", "TIFF", 100), ("a.nii", "NIfTI", 100)],
)
def test_each_kind_is_read_with_rows_first(tmp_path: Path, name: str, found: str, factor: int):
    path = written(tmp_path / name)
    assert detect_format(path) == found
    np.testing.assert_allclose(
        read_frame(path), GREY.astype(float) * factor, atol=3 if found == "JPEG" else 0
    )


def test_colour_becomes_luminance_and_alpha_is_ignored(tmp_path: Path):
    path = tmp_path / "colour.png"
    Image.fromarray(np.dstack([COLOUR, GREY])).save(path)
    expected = np.asarray(Image.fromarray(COLOUR).convert("L"), float)  # Pillow rounds down
    np.testing.assert_allclose(to_grey(read_frame(path)), expected, atol=1.0)
    repeated = to_grey(np.repeat(GREY[..., None], 3, axis=2))
    assert repeated.dtype == np.uint8 and np.array_equal(repeated, GREY)


def test_other_numbers_of_components_are_refused():
    with pytest.raises(ValueError, match="expected grey, RGB or RGBA pixels, found 6 components"):
        to_grey(np.random.default_rng(0).random((2, 2, 6)))


def test_the_content_decides_and_a_wrong_name_is_told(tmp_path: Path):
    path = written(tmp_path / "a.png").rename(tmp_path / "a.jpg")
    with pytest.raises(
        ValueError, match=r"a\.jpg: expected .*'.jpg' says, found PNG by content; rename it to \.png"
    ):
        read_frame(path)


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "found an empty file"), (b"hello world", "begins with")]
)
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_frame(path)
    with pytest.raises(FileNotFoundError, match="expected an image file, found nothing"):
        detect_format(tmp_path / "none.png")


def test_a_truncated_file_is_refused(tmp_path: Path):
    path = tmp_path / "a.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ValueError, match=r"a\.jpg: expected a readable JPEG image, found a corrupt one"):
        read_frame(path)


def test_names_of_images():
    assert is_image_name(Path("a.nii.gz")) and is_image_name(Path("b.JPEG"))
    assert not is_image_name(Path("notes.txt")) and not is_image_name(Path("IM0001"))
