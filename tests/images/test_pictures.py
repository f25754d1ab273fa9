"""Pictures that other programs turn, invert, cut or blow up."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image, ImageOps

from monai_lora_sam.images import MAXIMUM_PIXELS, read_image, read_label

RAMP = np.add.outer(np.arange(24) * 5, np.arange(40)).astype(np.uint8)
TEXTURE = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)


def jpeg(pixels: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95, **options)
    return stream.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a16.tif"])
def test_pictures_are_turned_as_viewers_turn_them(tmp_path: Path, name: str, orientation: int) -> None:
    picture = Image.fromarray(RAMP.astype(np.uint16) * 200 if "16" in name else RAMP)
    exif = Image.Exif()
    exif[274] = orientation
    picture.save(tmp_path / name, exif=exif)
    picture.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(picture)).astype(float)
    found = read_image(tmp_path / name).pixels
    assert found.shape == expected.shape
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.98
    if "jpg" not in name:
        label = Image.fromarray((RAMP > 70).astype(np.uint8))
        label.save(tmp_path / name, exif=exif)
        turned = np.asarray(ImageOps.exif_transpose(picture)) > (70 * 200 if "16" in name else 70)
        np.testing.assert_array_equal(read_label(tmp_path / name, 2), turned)


def test_the_first_picture_of_a_phone_is_read(tmp_path: Path) -> None:
    first, second = Image.fromarray(RAMP), Image.fromarray(255 - RAMP)
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[second], quality=95)
    np.testing.assert_allclose(read_image(tmp_path / "a.jpg").pixels, RAMP / 255, atol=0.02)


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_white_is_0_is_inverted(tmp_path: Path, bits: int) -> None:
    shown = {1: RAMP > 70, 8: RAMP, 16: RAMP.astype(np.uint16) * 257}[bits]
    highest = {1: 1, 8: 255, 16: 65535}[bits]
    stored = np.asarray(highest - shown.astype(int))
    data = np.packbits(stored, axis=1).tobytes() if bits == 1 else stored.astype(f"<u{bits // 8}").tobytes()
    tags = [
        (256, 3, 40), (257, 3, 24), (258, 3, bits), (259, 3, 1), (262, 3, 0), (273, 4, 200), (277, 3, 1), (278, 3, 24),
        (279, 4, len(data)),
    ]  # fmt: skip
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    head += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags) + bytes(4)
    (tmp_path / "a.tif").write_bytes(head.ljust(200, b"\0") + data)
    found = read_image(tmp_path / "a.tif").pixels
    assert np.corrcoef(found.ravel(), shown.ravel().astype(float))[0, 1] > 0.999
    with Image.open(tmp_path / "a.tif") as picture:
        if bits == 8:  # Pillow leaves 16 bits as they are
            np.testing.assert_array_equal(np.asarray(picture), shown)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 2}])
@pytest.mark.parametrize("fault", ["cut", "cut and ended", "garbled"])
def test_jpeg_whose_data_end_early_or_are_garbled_are_refused(
    tmp_path: Path, options: dict, fault: str
) -> None:
    data = bytearray(jpeg(np.repeat(TEXTURE[..., None], 3, 2), **options))
    middle = len(data) // 2
    if fault == "garbled":
        data[middle : middle + 200] = b"\xff\xd0\x12" * 66 + b"\0\0"
    else:
        del data[middle:]
    (tmp_path / "a.jpg").write_bytes(bytes(data) + (b"\xff\xd9" if fault == "cut and ended" else b""))
    with pytest.raises(ValueError, match=r"a\.jpg: .*expected a readable JPEG image, found a corrupt one"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("size", ["L", "CMYK"])
def test_whole_jpeg_are_read(tmp_path: Path, size: str) -> None:
    Image.fromarray(TEXTURE).convert(size).save(tmp_path / "a.jpg", quality=95)
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes() + b"\0\0 a note of the sender")
    assert read_image(tmp_path / "a.jpg").pixels.shape == (64, 64)


def png(rows: int, columns: int, data: bytes, depth: int = 8) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", columns, rows, depth, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_png_with_too_few_rows_are_refused(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + row.tobytes() for row in TEXTURE)
    (tmp_path / "whole.png").write_bytes(png(64, 64, zlib.compress(rows)))
    np.testing.assert_array_equal(
        read_image(tmp_path / "whole.png").pixels, (TEXTURE / 255).astype(np.float32)
    )
    (tmp_path / "half.png").write_bytes(png(64, 64, zlib.compress(rows[: len(rows) // 2])))
    with pytest.raises(ValueError, match=r"half\.png: expected a readable PNG image, found a corrupt one"):
        read_image(tmp_path / "half.png")


@pytest.mark.parametrize(
    ("rows", "columns", "depth"), [(14000, 14000, 1), (9000, 9000, 8), (2**30, 2**30, 8)]
)
def test_sizes_are_checked_before_decoding(tmp_path: Path, rows: int, columns: int, depth: int) -> None:
    (tmp_path / "a.png").write_bytes(png(rows, columns, zlib.compress(b"\0"), depth))
    with pytest.raises(ValueError, match=r"a\.png: .*67108864 pixels a frame|a\.png: expected a readable"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((0, 0), "at least one pixel"),
        ((30000, 30000), "67108864 pixels"),
        ((50, 50, 30), "found 30 frames of 50x50"),
    ],
)
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_nifti_of_other_shapes_are_refused_by_their_header(
    tmp_path: Path, shape: tuple[int, ...], message: str, name: str
) -> None:
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape(shape)
    header["magic"], header["vox_offset"] = b"n+1", 352
    content = header.binaryblock.ljust(352, b"\0")
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    with pytest.raises(ValueError, match=rf"{name}: .*{message}"):
        read_image(tmp_path / name)


def test_damaged_gzip_is_named(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(TEXTURE, np.eye(4)), tmp_path / "a.nii.gz")
    data = bytearray((tmp_path / "a.nii.gz").read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    (tmp_path / "a.nii.gz").write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"a\.nii\.gz: expected a readable NIfTI image, found a corrupt one"):
        read_image(tmp_path / "a.nii.gz")


def test_oblong_pixels_are_refused(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(TEXTURE, np.diag([0.3, 0.6, 1, 1])), tmp_path / "a.nii")
    with pytest.raises(ValueError, match=r"a\.nii: expected square pixels, found 0\.6 x 0\.3 mm"):
        read_image(tmp_path / "a.nii")


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_picture_in_the_alpha_channel_is_refused_and_named(tmp_path: Path, name: str) -> None:
    pixels = np.zeros((24, 40, 4), np.uint8)
    pixels[..., 3] = (RAMP > 70) * 255
    Image.fromarray(pixels).save(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name}: .*a picture in the alpha channel"):
        read_label(tmp_path / name, 2)
    pixels[..., :3] = RAMP[..., None]
    Image.fromarray(pixels).save(tmp_path / name)
    np.testing.assert_allclose(read_image(tmp_path / name).pixels, RAMP / 255, atol=1e-6)


def test_mutated_pictures_never_end_in_another_error(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    Image.fromarray(TEXTURE).save(tmp_path / "a.png")
    Image.fromarray(TEXTURE).save(tmp_path / "a.tif", compression="tiff_lzw")
    nibabel.save(nibabel.Nifti1Image(TEXTURE, np.eye(4)), tmp_path / "a.nii.gz")
    (tmp_path / "a.jpg").write_bytes(jpeg(TEXTURE))
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    for name in ("a.png", "a.tif", "a.jpg", "a.nii.gz"):
        whole = (tmp_path / name).read_bytes()
        for _ in range(25):
            data = bytearray(whole)
            for place in random.integers(0, min(len(data), 400), 3):
                data[place] = random.integers(256)
            (tmp_path / "b").write_bytes(bytes(data))
            try:
                assert read_image(tmp_path / "b").pixels.size <= MAXIMUM_PIXELS
            except ValueError as error:
                assert str(error).startswith(str(tmp_path / "b"))


@pytest.mark.parametrize(
    ("folder", "name", "twin"),
    [
        ("h_pictures", "01_exif3_turned.jpg", "05_upright.jpg"),
        ("h_pictures", "04_exif3_turned.png", "05_upright.jpg"),
        ("h_pictures", "14_phone_mpo.jpg", "05_upright.jpg"),
        ("f_grey", "21_miniswhite.tif", "20_uint8.tif"),
    ],
)
def test_inputs_that_once_went_wrong_equal_their_twins(
    shared_cases: Path, folder: str, name: str, twin: str
) -> None:
    found, expected = (read_image(shared_cases / folder / file).pixels for file in (name, twin))
    assert found.shape == expected.shape and np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.98
