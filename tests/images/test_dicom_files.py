"""Stored pixels as pydicom, Pillow and SimpleITK wrote them; damaged and foreign files."""

from __future__ import annotations

import io
import struct

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLosslessSV1, RLELossless

from monai_lora_sam.coronary.images import read_angiogram, read_cine
from monai_lora_sam.images import read_dataset
from monai_lora_sam.images.dicom_pixels import stored_pixels

ROWS, COLUMNS = 30, 40
SMOOTH = np.stack([np.add.outer(np.arange(ROWS) * 5, np.arange(COLUMNS)) + 7 * k for k in range(3)]).astype(
    np.uint8
)


def _stored(path):
    return stored_pixels(read_dataset(path), path).array


def _compressed(path, syntax, frames, **elements):
    """Put compressed frames in place of the native ones."""
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)
    return path


def _by_pillow(frames, **options):
    encoded = []
    for frame in frames:
        stream = io.BytesIO()
        Image.fromarray(frame).save(stream, **options)
        encoded.append(stream.getvalue())
    return encoded


def _lossless_jpegs(frames, folder):
    """Compress frames as lossless JPEG by SimpleITK and return the code streams."""
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(folder / "sitk.dcm"))
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG")
    writer.Execute(sitk.GetImageFromArray(frames))
    dataset = pydicom.dcmread(folder / "sitk.dcm")
    assert dataset.file_meta.TransferSyntaxUID == JPEGLosslessSV1
    # Items of 8 + length bytes; the first is the offset table.
    data, items = dataset.PixelData, []
    while len(data) >= 8 and data[:4] == b"\xfe\xff\x00\xe0":
        length = struct.unpack("<I", data[4:8])[0]
        items.append(data[8 : 8 + length])
        data = data[8 + length :]
    return items[1:]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_native_pixels_are_those_written_and_those_simpleitk_reads(xa_file, dtype):
    pixels = SMOOTH.astype(dtype) * (1 if dtype == np.uint8 else 97) - (9000 if dtype == np.int16 else 0)
    pixels = pixels.astype(dtype)
    stored = _stored(xa_file(pixels))
    assert stored.dtype == dtype
    np.testing.assert_array_equal(stored, pixels)
    single = xa_file(pixels[:1], name="single.dcm")
    np.testing.assert_array_equal(_stored(single)[0], sitk.GetArrayFromImage(sitk.ReadImage(str(single)))[0])


def test_implicit_and_big_endian_and_missing_preamble(xa_file, tmp_path):
    pixels = SMOOTH.astype(np.uint16) * 200
    dataset = pydicom.dcmread(xa_file(pixels))
    bare = tmp_path / "implicit"
    with bare.open("wb") as file:
        pydicom.filewriter.write_dataset(
            pydicom.filebase.DicomFileLike(file), _with_encoding(dataset, implicit=True, little=True)
        )
    assert bare.read_bytes()[128:132] != b"DICM"
    np.testing.assert_array_equal(_stored(bare), pixels)
    np.testing.assert_array_equal(_stored(xa_file(pixels)), pixels)


def _with_encoding(dataset, implicit, little):
    for name in ("is_implicit_VR", "is_little_endian"):
        object.__setattr__(dataset, f"_{name}", implicit if "implicit" in name else little)
    return dataset


def test_rle_and_lossless_jpeg_2000(xa_file):
    path = xa_file(SMOOTH)
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless)
    dataset.save_as(path)
    np.testing.assert_array_equal(_stored(path), SMOOTH)
    path = _compressed(
        xa_file(SMOOTH),
        JPEG2000Lossless,
        _by_pillow(SMOOTH, format="JPEG2000", irreversible=False, no_jp2=True),
    )
    np.testing.assert_array_equal(_stored(path), SMOOTH)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_lossless_jpeg_needs_no_plug_in(xa_file, tmp_path, dtype):
    # The usual compression of angiograms on discs; the GDCM in SimpleITK decodes it.
    pixels = SMOOTH.astype(dtype) * dtype(1 if dtype == np.uint8 else 200)
    path = _compressed(xa_file(pixels), JPEGLosslessSV1, _lossless_jpegs(pixels, tmp_path))
    np.testing.assert_array_equal(_stored(path), pixels)
    inverted = _compressed(
        xa_file(pixels),
        JPEGLosslessSV1,
        _lossless_jpegs(pixels, tmp_path),
        PhotometricInterpretation="MONOCHROME1",
    )
    np.testing.assert_array_equal(_stored(inverted), pixels)


def test_lossy_jpeg_is_what_pillow_decodes(xa_file):
    frames = _by_pillow(SMOOTH[:, :, :20], format="JPEG", quality=95)
    path = _compressed(xa_file(SMOOTH[:, :, :20]), JPEGBaseline8Bit, frames)
    expected = np.stack([np.asarray(Image.open(io.BytesIO(frame))) for frame in frames])
    np.testing.assert_array_equal(_stored(path), expected)


@pytest.mark.parametrize(
    ("syntax", "hint"),
    [
        ("1.2.840.10008.1.2.4.201", "pip install pylibjpeg pylibjpeg-openjpeg"),
        ("1.2.840.10008.1.2.4.102", "it is a video"),
        ("1.2.840.10008.1.2.4.94", "convert it to uncompressed"),
    ],
)
def test_an_unknown_compression_names_its_remedy(xa_file, monkeypatch, syntax, hint):
    monkeypatch.setattr(
        "monai_lora_sam.images.dicom_pixels._decode_with_pydicom", _no_plugin
    )  # whatever this environment has
    path = _compressed(xa_file(SMOOTH), syntax, [b"\xff\x4fnothing\xff\xd9"] * 3)
    with pytest.raises(ValueError, match=rf"cine\.dcm: expected a compression .* found .*{syntax}.*{hint}"):
        read_cine(path)


def _no_plugin(dataset):
    raise RuntimeError("all plug-ins are missing dependencies")


def test_old_overlays_in_the_unused_bits_are_cleared(xa_file):
    pixels = SMOOTH.astype(np.uint16) * 16
    path = xa_file(pixels | 0xF000, BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(_stored(path), pixels)
    signed = SMOOTH.astype(np.int16) * 12 - 1500
    masked = (signed.view(np.uint16) & 0x0FFF).view(np.int16)
    np.testing.assert_array_equal(_stored(xa_file(masked, BitsStored=12, HighBit=11)), signed)


def test_colour_becomes_luminance(xa_file, tmp_path):
    colour = np.random.default_rng(0).integers(0, 256, (2, ROWS, COLUMNS, 3), dtype=np.uint8)
    path = xa_file(SMOOTH[:2])
    dataset = pydicom.dcmread(path)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.PixelData = colour.tobytes()
    dataset.save_as(path)
    expected = [np.asarray(Image.fromarray(frame).convert("L")) / 255 for frame in colour]
    np.testing.assert_allclose(np.asarray(read_cine(path).frames), expected, atol=1.01 / 255)


def test_palettes_become_their_colours(xa_file):
    reverse = (np.arange(256, dtype=np.uint16)[::-1] * 257).tobytes()
    palette = {f"{name}PaletteColorLookupTableData": reverse for name in ("Red", "Green", "Blue")}
    palette |= {f"{name}PaletteColorLookupTableDescriptor": [256, 0, 16] for name in ("Red", "Green", "Blue")}
    stored = _stored(xa_file(SMOOTH, PhotometricInterpretation="PALETTE COLOR", **palette))
    np.testing.assert_array_equal(stored[..., 1], (255 - SMOOTH.astype(np.uint16)) * 257)


def test_cut_off_files_are_refused(xa_file, tmp_path):
    native = xa_file(SMOOTH)
    jpeg = _compressed(xa_file(SMOOTH, name="jpeg.dcm"), JPEGLosslessSV1, _lossless_jpegs(SMOOTH, tmp_path))
    for path in (native, jpeg):
        whole = path.read_bytes()
        for share in (0.97, 0.6, 0.2, 0.05):
            path.write_bytes(whole[: int(share * len(whole))])
            with pytest.raises(ValueError, match=rf"{path.name}: expected a(n| readable) .*, found"):
                read_cine(path)


@pytest.mark.filterwarnings("ignore")
def test_damaged_bytes_give_an_error_or_frames_but_never_another_exception(xa_file):
    path = xa_file(SMOOTH)
    whole, rng = path.read_bytes(), np.random.default_rng(1)
    for _ in range(60):
        content = bytearray(whole)
        for place in rng.integers(132, len(whole) - SMOOTH.nbytes + 8, 3):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        try:
            read_cine(path).frames[0]
        except ValueError as error:
            assert str(error).startswith(f"{path}: expected")


def test_what_is_no_image_is_named(xa_file, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.dcm: expected a DICOM file, found nothing"):
        read_cine(tmp_path / "none.dcm")
    with pytest.raises(FileNotFoundError, match="found a folder"):
        read_cine(tmp_path)
    (tmp_path / "empty.dcm").touch()
    with pytest.raises(ValueError, match=r"empty\.dcm: .*found an empty file"):
        read_cine(tmp_path / "empty.dcm")
    (tmp_path / "text.dcm").write_text("no image at all" * 50)
    with pytest.raises(ValueError, match=r"text\.dcm: expected a readable DICOM image, found"):
        read_cine(tmp_path / "text.dcm")
    report = pydicom.dcmread(xa_file(SMOOTH, name="report.dcm"))
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
    report.Modality = "SR"
    del report.PixelData
    report.save_as(tmp_path / "report.dcm")
    for read in (read_cine, read_angiogram):
        with pytest.raises(
            ValueError, match=r"report\.dcm: .* found Comprehensive SR Storage without pixel data"
        ):
            read(tmp_path / "report.dcm")
    directory = pydicom.dcmread(xa_file(SMOOTH, name="DICOMDIR"))
    directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    del directory.PixelData
    directory.save_as(tmp_path / "DICOMDIR")
    with pytest.raises(ValueError, match=r"DICOMDIR: .*found a DICOMDIR, which only lists"):
        read_cine(tmp_path / "DICOMDIR")


def test_fewer_frames_than_announced_are_refused(xa_file):
    with pytest.raises(ValueError, match=r"cine\.dcm: expected a readable DICOM image, found a corrupt one"):
        read_cine(xa_file(SMOOTH, NumberOfFrames=9))
