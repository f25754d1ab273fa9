"""Recognition of DICOM by content; damaged, foreign and endless files."""

from __future__ import annotations

import zlib

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from monai_lora_sam.coronary.images import read_angiogram, read_cine
from monai_lora_sam.images import looks_like_dicom, read_dataset, read_header

SMOOTH = np.stack([np.add.outer(np.arange(30) * 5, np.arange(40)) + 7 * k for k in range(3)]).astype(np.uint8)


def _without_preamble(path, implicit, little=True):
    """Write the elements of a file alone, as old systems did."""
    dataset = pydicom.dcmread(path)
    for name, value in (("_is_implicit_VR", implicit), ("_is_little_endian", little)):
        object.__setattr__(dataset, name, value)
    bare = path.with_name("IM0001")
    with bare.open("wb") as file:
        stream = pydicom.filebase.DicomFileLike(file)
        stream.is_implicit_VR, stream.is_little_endian = implicit, little
        pydicom.filewriter.write_dataset(stream, dataset)
    return bare


@pytest.mark.parametrize("implicit", [True, False])
def test_elements_without_preamble_are_recognised_and_read(xa_file, implicit):
    bare = _without_preamble(xa_file(SMOOTH), implicit)
    assert bare.read_bytes()[128:132] != b"DICM" and looks_like_dicom(bare)
    assert len(read_cine(bare)) == 3


def test_meta_elements_without_preamble_are_recognised_and_read(xa_file):
    path = xa_file(SMOOTH)
    assert looks_like_dicom(path)
    path.write_bytes(path.read_bytes()[132:])
    assert looks_like_dicom(path)
    assert len(read_cine(path)) == 3


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no image at all" * 50,
        b"\x89PNG\r\n\x1a\n" + bytes(200),
        b"\xff\xd8\xff\xe0" + bytes(200),
        bytes(500),
        b"II*\0\x08\0\0\0" + bytes(200),
        b"\x08\0" + bytes(range(250)),
        b"\x02\0\0\0" + b"ab" * 100,
        b"PK\3\4" * 90,
    ],
)
def test_other_files_do_not_look_like_dicom(tmp_path, content):
    path = tmp_path / "thing"
    path.write_bytes(content)
    assert not looks_like_dicom(path)
    if content:
        with pytest.raises(
            ValueError, match=r"thing: expected a readable DICOM image, found a corrupt one \(it begins"
        ):
            read_dataset(path)


def test_pixel_data_without_the_delimiter_at_its_end(xa_file):
    path = xa_file(SMOOTH)
    dataset = pydicom.dcmread(path)
    dataset.compress(pydicom.uid.RLELossless)
    dataset.save_as(path)
    whole, expected = path.read_bytes(), np.asarray(read_cine(path).frames)
    assert whole.endswith(b"\xfe\xff\xdd\xe0\0\0\0\0")
    path.write_bytes(whole[:-8])
    np.testing.assert_array_equal(read_cine(path).frames, expected)
    path.write_bytes(whole[:-40])
    with pytest.raises(ValueError, match=r"cine\.dcm: expected"):
        read_cine(path)


def test_deflated_files_are_read_up_to_a_limit(xa_file, monkeypatch):
    path = xa_file(SMOOTH)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    np.testing.assert_allclose(np.asarray(read_cine(path).frames), SMOOTH / 255, atol=1e-6)
    path.write_bytes(path.read_bytes() + b"\0")
    assert len(read_cine(path)) == 3
    monkeypatch.setattr("monai_lora_sam.images.dicom_files.LARGEST_BYTES", 2000)
    for read in (read_cine, read_header):
        with pytest.raises(ValueError, match=r"cine\.dcm: expected a file of at most 2000 bytes, found"):
            read(path)


def _end_of_meta(path):
    """Return where the elements after the transfer syntax begin."""
    syntax = pydicom.filereader.read_file_meta_info(path).TransferSyntaxUID.encode()
    return path.read_bytes().index(syntax) + len(syntax) + len(syntax) % 2


def test_a_deflated_bomb_is_refused_unread(xa_file, monkeypatch):
    path = xa_file(SMOOTH)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    content = path.read_bytes()
    start = _end_of_meta(path)
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = zlib.decompress(content[start:], -zlib.MAX_WBITS) + bytes(2**22)
    path.write_bytes(content[:start] + deflater.compress(body) + deflater.flush())
    assert path.stat().st_size < 20_000
    monkeypatch.setattr("monai_lora_sam.images.dicom_files.LARGEST_BYTES", 2**21)
    with pytest.raises(
        ValueError, match=r"cine\.dcm: expected a file of at most .* found more once inflated"
    ):
        read_cine(path)


def test_sequences_within_sequences_end_in_one_line(xa_file):
    nested = Dataset()
    for _ in range(200):
        outer = Dataset()
        outer.ReferencedImageSequence = [nested]
        nested = outer
    assert len(read_cine(xa_file(SMOOTH, ReferencedImageSequence=[nested]))) == 3
    path = xa_file(SMOOTH)
    content = path.read_bytes()
    start = _end_of_meta(path)
    level = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"
    path.write_bytes(content[:start] + level * 20_000)
    with pytest.raises(ValueError, match=r"^[^\n]*cine\.dcm: expected a readable DICOM image, found[^\n]*$"):
        read_cine(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(3))
def test_mutations_are_read_or_refused_in_one_line(xa_file, seed):
    path = xa_file(SMOOTH)
    if seed:
        dataset = pydicom.dcmread(path)
        dataset.compress(pydicom.uid.RLELossless)
        dataset.save_as(path)
    whole, rng = path.read_bytes(), np.random.default_rng(seed)
    for number in range(18):
        content = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            content[place] = rng.integers(256)
        place, length = int(rng.integers(len(whole) - 40)), int(rng.integers(1, 40))
        if number % 3 == 1:
            del content[place : place + length]
        elif number % 3 == 2:
            content[place:place] = rng.integers(0, 256, length, dtype=np.uint8).tobytes()
        path.write_bytes(content)
        try:
            read_cine(path).frames[0]
        except (ValueError, OSError) as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error) and "0x5" not in str(error)


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
