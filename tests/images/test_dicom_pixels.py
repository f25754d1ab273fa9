"""Stored pixels as pydicom, Pillow and SimpleITK wrote them: their frames, ends and bits."""

from __future__ import annotations

import io
import struct

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from monai_lora_sam.coronary.images import read_cine
from monai_lora_sam.images import read_dataset
from monai_lora_sam.images.dicom_pixels import stored_pixels

ROWS, COLUMNS = 30, 40
SMOOTH = np.stack([np.add.outer(np.arange(ROWS) * 5, np.arange(COLUMNS)) + 7 * k for k in range(3)]).astype(
    np.uint8
)
LOSSLESS_2000 = {"format": "JPEG2000", "irreversible": False, "no_jp2": True}


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
    if syntax not in pydicom.uid.UID_dictionary:
        pytest.skip("this pydicom writes no such file")
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


def test_fewer_frames_than_announced_are_refused(xa_file):
    with pytest.raises(ValueError, match=r"cine\.dcm: .* \(9 frames of 30x40 .* announced, 3 stored\)"):
        read_cine(xa_file(SMOOTH, NumberOfFrames=9))
    jpeg = _compressed(xa_file(SMOOTH, NumberOfFrames=9), JPEGBaseline8Bit, _by_pillow(SMOOTH, format="JPEG"))
    with pytest.raises(ValueError, match=r"cine\.dcm: .* \(9 frames of .* announced, 3 stored\)"):
        read_cine(jpeg)


@pytest.mark.parametrize("announced", [None, "1", "2", "3.0", "three"])
@pytest.mark.parametrize("compressed", [False, True])
def test_the_frames_that_are_there_are_read(xa_file, announced, compressed):
    path = xa_file(SMOOTH)
    if compressed:
        path = _compressed(path, JPEG2000Lossless, _by_pillow(SMOOTH, **LOSSLESS_2000))
    _with_text(path, "NumberOfFrames", announced)
    cine = read_cine(path)
    np.testing.assert_allclose(np.asarray(cine.frames), SMOOTH / 255, atol=1e-6)
    assert cine.header.NumberOfFrames == 3
    expected = {
        "1": ("The file announces 1 frame(s) and holds 3; all were read.",),
        "2": ("The file announces 2 frame(s) and holds 3; all were read.",),
        "three": ("DICOM NumberOfFrames (0028,0008): expected numbers, found words; taken as unknown.",),
    }
    assert cine.warnings == expected.get(announced, ())


def test_frames_in_several_fragments_and_wrong_offset_tables(xa_file):
    streams = _by_pillow(SMOOTH, format="JPEG", quality=95)
    path = _compressed(xa_file(SMOOTH, NumberOfFrames=None), JPEGBaseline8Bit, streams)
    expected = _stored(path)
    parts = [part for stream in streams for part in (stream[:100], stream[100:])]
    items = b"".join(_item(part) for part in parts)
    for table in (b"", struct.pack("<I", 0), struct.pack("<3I", 0, 8, 16)):
        _with_pixel_data(path, _item(table) + items)
        np.testing.assert_array_equal(_stored(path), expected)
    _with_pixel_data(path, _item(struct.pack("<5I", 0, 8, 16, 24, 32)) + items)
    with pytest.raises(ValueError, match=r"5 frames of .* announced, 3 stored"):
        read_cine(path)


def _item(content: bytes) -> bytes:
    content += b"\0" * (len(content) % 2)
    return b"\xfe\xff\x00\xe0" + struct.pack("<I", len(content)) + content


def _with_pixel_data(path, data):
    dataset = pydicom.dcmread(path)
    dataset["PixelData"].value = data
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)


def _with_text(path, keyword, text):
    """Write an element's text as it stands; None removes it."""
    dataset = pydicom.dcmread(path)
    if text is None:
        delattr(dataset, keyword)
    else:
        with pydicom.config.disable_value_validation():
            dataset[keyword] = RawDataElement(
                Tag(keyword), dictionary_VR(keyword), len(text), text.encode(), 0, False, True
            )
    dataset.save_as(path)


def _frames(dataset):
    """Return the encoded frames of three, as pydicom 3 or 2 finds them."""
    if hasattr(pydicom.encaps, "generate_frames"):
        return list(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=3))
    return list(pydicom.encaps.generate_pixel_data_frame(dataset.PixelData, 3))


@pytest.mark.parametrize("pads", [b"\xff", b"\x20", b"\x00\x00\x00", b"\xff\xff\xff", b"\x20\x20 "])
@pytest.mark.parametrize("kind", ["jpeg", "lossless", "2000", "ls", "rle"])
def test_bytes_after_the_end_marker_do_no_harm(xa_file, tmp_path, kind, pads):
    path = xa_file(SMOOTH)
    if kind == "rle":
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless)
        streams, syntax = _frames(dataset), RLELossless
    elif kind == "ls":
        jpegls = pytest.importorskip("jpeg_ls")
        streams, syntax = [bytes(jpegls.encode_array(frame)) for frame in SMOOTH], JPEGLSLossless
    elif kind == "lossless":
        streams, syntax = _lossless_jpegs(SMOOTH, tmp_path), JPEGLosslessSV1
    elif kind == "2000":
        streams, syntax = _by_pillow(SMOOTH, **LOSSLESS_2000), JPEG2000Lossless
    else:
        streams, syntax = _by_pillow(SMOOTH, format="JPEG"), JPEGBaseline8Bit
    expected = _stored(_compressed(path, syntax, streams))
    np.testing.assert_array_equal(_stored(_compressed(path, syntax, [s + pads for s in streams])), expected)


@pytest.mark.parametrize("kind", ["jpeg", "progressive", "lossless", "2000"])
def test_a_stream_that_ends_before_its_picture_is_refused(xa_file, tmp_path, capfd, kind):
    """With an end marker, and a picture whose lower border is plain: shutters alone are no fault."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (1, 64, 48), dtype=np.uint8)
    picture[:, 40:] = 0
    if kind in ("jpeg", "progressive"):
        streams = _by_pillow(picture, format="JPEG", quality=90, progressive=kind == "progressive")
        syntax = JPEGBaseline8Bit
    elif kind == "lossless":
        streams, syntax = _lossless_jpegs(picture, tmp_path), JPEGLosslessSV1
    else:
        streams, syntax = _by_pillow(picture, **LOSSLESS_2000), JPEG2000Lossless
    assert _stored(_compressed(xa_file(picture), syntax, streams)).shape == picture.shape
    assert not capfd.readouterr().err  # a decoder's complaint of a sound file
    for share in (0.5, 0.7):
        cut = [stream[: int(share * len(stream))] + b"\xff\xd9" for stream in streams]
        with pytest.raises(ValueError, match=r"cine\.dcm: .*frame 1 of 1: "):
            _stored(_compressed(xa_file(picture), syntax, cut))


def test_rows_and_columns_must_be_those_of_the_stream(xa_file):
    streams = _by_pillow(SMOOTH, format="JPEG")
    path = _compressed(xa_file(SMOOTH), JPEGBaseline8Bit, streams, Rows=COLUMNS, Columns=ROWS)
    with pytest.raises(
        ValueError, match=r"it has \(30, 40, 1\) rows, columns and components, announced are \(40"
    ):
        _stored(path)


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"Rows": 0}, "0 rows, 40 columns"),
        ({"Rows": 60000, "Columns": 60000}, "expected frames of at most 67108864 pixels, found 60000x60000"),
        ({"Rows": 29}, "3480 bytes announced, 3600 bytes stored"),
        ({"BitsAllocated": 12}, "expected 1, 8, 16 or 32 bits"),
        ({"BitsAllocated": None}, r"expected a number in DICOM BitsAllocated \(0028,0100\), found none"),
        ({"BitsStored": 12}, "expected at most the 8 bits allocated to be stored, found 12"),
        ({"SamplesPerPixel": 4}, "expected 1 or 3 samples per pixel of MONOCHROME2, found 4"),
        ({"PhotometricInterpretation": "RGB"}, "expected 3 samples per pixel of RGB, found 1"),
        ({"BitsAllocated": 16, "BitsStored": 16}, "7200 bytes announced, 3600 bytes stored"),
    ],
)
def test_a_frame_of_another_size_is_refused(xa_file, elements, message):
    with pytest.raises(ValueError, match=rf"cine\.dcm: .*{message}"):
        read_cine(xa_file(SMOOTH, **elements))


def test_more_than_the_limits_is_refused_before_decoding(xa_file, monkeypatch):
    path = xa_file(SMOOTH)
    for name, limit, found in (
        ("MOST_FRAMES", 2, "2 frames, found 3"),
        ("LARGEST_BYTES", 3599, "found 3600"),
    ):
        with (
            monkeypatch.context() as patch,
            pytest.raises(ValueError, match=rf"cine\.dcm: expected .*{found}"),
        ):
            patch.setattr(f"monai_lora_sam.images.dicom_pixels.{name}", limit)
            read_cine(path)


def test_a_run_length_stream_longer_than_its_picture_is_refused(xa_file):
    bomb = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\x00" * 5000
    with pytest.raises(ValueError, match=r"frame 1 of 1: it has 10064 bytes for 1200 bytes of pixels"):
        _stored(_compressed(xa_file(SMOOTH[:1]), RLELossless, [bomb]))


@pytest.mark.parametrize(("high", "shift"), [(11, 0), (15, 4), (3, 0), (40, 0)])
def test_stored_bits_lie_below_the_high_bit(xa_file, high, shift):
    pixels = SMOOTH.astype(np.uint16) * 16
    np.testing.assert_array_equal(_stored(xa_file(pixels << shift, BitsStored=12, HighBit=high)), pixels)


def test_big_endian_pixels(xa_file, tmp_path):
    pixels = SMOOTH.astype(np.uint16) * 200
    little = pydicom.dcmread(xa_file(pixels))
    dataset = pydicom.Dataset()
    dataset.update(little)
    dataset.file_meta = little.file_meta
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.2"
    dataset.PixelData = pixels.astype(">u2").tobytes()
    if pydicom.__version_info__[0] >= "3":
        dataset.save_as(tmp_path / "big.dcm", implicit_vr=False, little_endian=False)
    else:
        dataset.is_implicit_VR, dataset.is_little_endian = False, False
        dataset.save_as(tmp_path / "big.dcm")
    np.testing.assert_array_equal(_stored(tmp_path / "big.dcm"), pixels)


def test_files_with_pad_bytes_and_wrong_numbers_of_frames(shared_cases):
    for name in ("010_j2k_odd_length_padded_ff", "015_jpeg_lossless_20_padded", "016_no_sequence_delimiter"):
        assert len(read_cine(shared_cases / "a_stream_end" / f"{name}.dcm")) == 1
    with pytest.raises(ValueError, match="frame 1 of 1: it is cut off"):
        read_cine(shared_cases / "a_stream_end" / "012_j2k_no_end_marker.dcm")
    right = np.asarray(read_cine(shared_cases / "b_frames" / "a_jpeg_cine_right.dcm").frames)
    for name in ("b_jpeg_cine_number_missing", "c_jpeg_cine_number_1"):
        np.testing.assert_array_equal(read_cine(shared_cases / "b_frames" / f"{name}.dcm").frames, right)
    with pytest.raises(ValueError, match=r"\(8 frames of .* announced, 6 stored\)"):
        read_cine(shared_cases / "b_frames" / "019_jpeg_cine_number_of_frames_8_of_6.dcm")
