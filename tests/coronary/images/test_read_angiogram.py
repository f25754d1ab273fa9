from __future__ import annotations

import re
import struct
import zlib

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from PIL import Image

from monai_lora_sam.coronary.images import read_angiogram

# Rows and columns differ in number and in content, so a transposed or flipped image shows.
GREY = (np.add.outer(np.arange(30) * 5, np.arange(40)) % 256).astype(np.uint8)


def _save(path, kind):
    image = Image.fromarray(GREY)
    if kind == "nibabel":
        nibabel.save(nibabel.Nifti1Image(GREY.T, np.eye(4)), path)
    elif kind == "sitk":
        sitk.WriteImage(sitk.GetImageFromArray(GREY), str(path))
    elif kind == "one slice":
        sitk.WriteImage(sitk.GetImageFromArray(GREY[None]), str(path))
    elif kind == "tiff":
        tifffile.imwrite(path, GREY, compression="zlib")
    else:
        image.convert(kind).save(path)
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("a.png", mode) for mode in ("L", "LA", "RGB", "RGBA", "P")),
        ("a.tif", "L"),
        ("a.tiff", "RGB"),
        ("a.tif", "tiff"),
        ("a.nii", "nibabel"),
        ("a.nii.gz", "sitk"),
        ("a.nii", "one slice"),
        ("a.dcm", "sitk"),
    ],
)
def test_lossless_formats_give_the_written_pixels(tmp_path, name, kind):
    angiogram = read_angiogram(_save(tmp_path / name, kind))
    assert angiogram.pixels.dtype == np.float32
    np.testing.assert_allclose(angiogram.pixels, GREY / 255, atol=1e-7)
    assert angiogram.view is None
    if name != "a.dcm":  # what SimpleITK writes there depends on what it has read before
        assert angiogram.pixel_spacing_mm is None


def test_jpeg_is_close(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.JPG", quality=98)
    smooth = GREY[:, :20]  # Away from the wrap-around, which JPEG smears.
    pixels = read_angiogram(tmp_path / "a.JPG").pixels
    assert pixels.shape == GREY.shape
    assert np.abs(pixels[:, :20] - smooth / 255).mean() < 0.01


def test_colour_becomes_pillows_luminance(tmp_path):
    colour = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    Image.fromarray(colour).save(tmp_path / "a.png")
    expected = np.asarray(Image.fromarray(colour).convert("L")) / 255
    np.testing.assert_allclose(read_angiogram(tmp_path / "a.png").pixels, expected, atol=1.01 / 255)


def test_alpha_is_ignored(tmp_path):
    rgba = np.dstack([GREY, GREY, GREY, np.zeros_like(GREY)])
    Image.fromarray(rgba).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_angiogram(tmp_path / "a.png").pixels, GREY / 255, atol=1e-7)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_uses_the_robust_window(tmp_path, name):
    deep = np.linspace(1000, 3000, 100 * 100).reshape(100, 100).astype(np.uint16)
    deep[0, :5] = 65535  # Hot pixels must not decide the contrast.
    (tifffile.imwrite if name == "a.tif" else lambda p, a: Image.fromarray(a).save(p))(tmp_path / name, deep)
    pixels = read_angiogram(tmp_path / name).pixels
    low, high = np.percentile(deep, (0.1, 99.9))
    assert high < 3001
    np.testing.assert_allclose(pixels, np.clip((deep - low) / (high - low), 0, 1), atol=1e-6)


def test_unit_floats_stay_and_constant_deep_images_are_zero(tmp_path):
    floats = (GREY / 510).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", floats)
    np.testing.assert_array_equal(read_angiogram(tmp_path / "a.tif").pixels, floats)
    tifffile.imwrite(tmp_path / "b.tif", np.full((4, 5), 900, dtype=np.uint16))
    assert not read_angiogram(tmp_path / "b.tif").pixels.any()


def test_dicom_pixels_view_and_spacing_at_the_isocentre(write_dicom):
    tags = {
        "0018|1110": "1000",
        "0018|1111": "750",
        "0018|1164": "0.2\\0.2",
        "0018|1510": "-30.5",
        "0018|1511": "20",
        "0028|0030": "0.9\\0.9",
    }
    angiogram = read_angiogram(write_dicom(GREY, tags))
    np.testing.assert_allclose(angiogram.pixels, GREY / 255, atol=1e-7)
    assert angiogram.pixel_spacing_mm == pytest.approx(0.15)  # 0.2 mm / (1000 / 750)
    assert angiogram.view == (-30.5, 20.0)
    assert angiogram.modality == "XA"


def test_dicom_without_distances_uses_pixel_spacing(write_dicom):
    angiogram = read_angiogram(write_dicom(GREY, {"0018|1164": "0.2\\0.2", "0028|0030": "0.3\\0.3"}))
    assert angiogram.pixel_spacing_mm == pytest.approx(0.3)
    assert angiogram.view is None


@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, 8), (np.uint16, 8)])
def test_monochrome1_is_inverted(write_dicom, dtype, bits):
    path = write_dicom(GREY.astype(dtype), photometric="MONOCHROME1", bits_stored=bits)
    np.testing.assert_allclose(read_angiogram(path).pixels, 1 - GREY / 255, atol=1e-6)


def test_eight_stored_bits_in_a_word_are_eight_bits(write_dicom):
    path = write_dicom((GREY // 2).astype(np.uint16), bits_stored=8)
    np.testing.assert_allclose(read_angiogram(path).pixels, (GREY // 2) / 255, atol=1e-7)


def test_dicom_needs_no_extension(write_dicom):
    assert read_angiogram(write_dicom(GREY, name="1.2.840.113.7")).pixels.shape == GREY.shape


def test_oblong_pixels_and_bad_numbers_of_dicom_are_unknown_with_a_warning(write_dicom):
    for tags, warning in (
        ({"0028|0030": "0.3\\0.4"}, r"\(0028,0030\): expected square pixels .*, found 0.3, 0.4 mm"),
        ({"0018|1510": "left", "0018|1511": "10"}, r"\(0018,1510\): expected numbers, found words; taken"),
    ):
        angiogram = read_angiogram(write_dicom(GREY, tags))
        assert angiogram.pixel_spacing_mm is angiogram.view is None
        (found,) = angiogram.warnings
        assert re.search(warning, found)


def test_several_frames_are_refused_with_their_number(tmp_path, write_dicom):
    stack = np.stack([GREY] * 7)
    sitk.WriteImage(sitk.GetImageFromArray(stack), str(tmp_path / "a.nii"))
    tifffile.imwrite(tmp_path / "a.tif", stack)
    for path in (write_dicom(stack), tmp_path / "a.nii", tmp_path / "a.tif"):
        with pytest.raises(
            ValueError, match=rf"{path.name}: expected a single frame, found 7 frames of 30x40"
        ):
            read_angiogram(path)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.png", "L"), ("a.jpg", "L"), ("a.tif", "L"), ("a.nii", "nibabel"), ("a.nii.gz", "sitk")],
)
def test_truncated_files_are_refused(tmp_path, name, kind):
    path = _save(tmp_path / name, kind)
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 3])
    with pytest.raises(ValueError, match=rf"{name}: expected a readable .* image, found a corrupt one"):
        read_angiogram(path)


def test_truncated_dicom_is_refused(write_dicom):
    path = write_dicom(GREY)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"frame\.dcm: expected a readable DICOM image, found a corrupt one"):
        read_angiogram(path)


def test_damaged_png_is_refused(tmp_path):
    path = _save(tmp_path / "a.png", "L")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.png: expected a readable PNG image"):
        read_angiogram(path)


def test_other_bad_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.png: expected an image file, found nothing"):
        read_angiogram(tmp_path / "none.png")
    with pytest.raises(FileNotFoundError, match="found a folder"):
        read_angiogram(tmp_path)
    (tmp_path / "empty.png").touch()
    with pytest.raises(ValueError, match=r"empty\.png: expected an image, found an empty file"):
        read_angiogram(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("no image at all")
    with pytest.raises(
        ValueError, match=r"text\.png: expected PNG, JPEG, .* found a file that begins with b'no im"
    ):
        read_angiogram(tmp_path / "text.png")
    (tmp_path / "text.dcm").write_text("no image at all" * 50)
    with pytest.raises(ValueError, match=r"text\.dcm: expected PNG, JPEG, .* or DICOM, found"):
        read_angiogram(tmp_path / "text.dcm")


def test_nan_is_refused(tmp_path):
    floats = GREY.astype(np.float32)
    floats[3, 4] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", floats)
    nibabel.save(nibabel.Nifti1Image(floats.T, np.eye(4)), tmp_path / "a.nii")
    for name in ("a.tif", "a.nii"):
        with pytest.raises(ValueError, match=rf"{name}: expected finite pixels, found 1 NaN"):
            read_angiogram(tmp_path / name)


def test_16_bit_colour_png_is_refused_rather_than_cut_to_8_bits(tmp_path):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\x00" + np.full((4, 3), 300, ">u2").tobytes() for _ in range(4))
    header = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    with pytest.raises(ValueError, match=r"a\.png: .*found 16-bit colour"):
        read_angiogram(tmp_path / "a.png")


def test_real_images_match_pillow(shared_data):
    paths = sorted((shared_data / "arcade" / "stenosis" / "val" / "images").glob("*.png"))[:12]
    modes = set()
    for path in [*paths, shared_data / "cimat_angio" / "train" / "images" / "001.png"]:
        with Image.open(path) as image:
            modes.add(image.mode)
            expected = np.asarray(image.convert("L")) / 255
        np.testing.assert_allclose(read_angiogram(path).pixels, expected, atol=1e-6)
    assert "L" in modes
