"""Write DICOM byte by byte from the standard, so that reading is tested against something outside."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset

XA_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.12.1"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


def _element(tag: str, representation: str, value: bytes) -> bytes:
    """Encode one element in explicit VR little endian (DICOM PS3.5, 7.1.2)."""
    padding = b"\x00" if representation in ("UI", "OB", "OW") else b" "
    value += padding * (len(value) % 2)
    group, element = (int(part, 16) for part in tag.split("|"))
    head = struct.pack("<HH2s", group, element, representation.encode())
    long_form = representation in ("OB", "OW")
    length = struct.pack("<HI", 0, len(value)) if long_form else struct.pack("<H", len(value))
    return head + length + value


@pytest.fixture
def write_dicom(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes (H, W) or (N, H, W) unsigned pixels and decimal-string tags."""

    def write(
        pixels: np.ndarray,
        tags: dict[str, str] | None = None,
        photometric: str = "MONOCHROME2",
        bits_stored: int | None = None,
        name: str = "frame.dcm",
    ) -> Path:
        frames = pixels.shape[0] if pixels.ndim == 3 else 1
        rows, columns = pixels.shape[-2:]
        bits = pixels.dtype.itemsize * 8
        elements = {
            "0008|0016": ("UI", XA_IMAGE_STORAGE.encode()),
            "0008|0018": ("UI", b"1.2.3.4"),
            "0008|0060": ("CS", b"XA"),
            "0028|0002": ("US", struct.pack("<H", 1)),
            "0028|0004": ("CS", photometric.encode()),
            "0028|0010": ("US", struct.pack("<H", rows)),
            "0028|0011": ("US", struct.pack("<H", columns)),
            "0028|0100": ("US", struct.pack("<H", bits)),
            "0028|0101": ("US", struct.pack("<H", bits_stored or bits)),
            "0028|0102": ("US", struct.pack("<H", (bits_stored or bits) - 1)),
            "0028|0103": ("US", struct.pack("<H", 0)),
            "7fe0|0010": ("OW" if bits == 16 else "OB", pixels.tobytes()),
        }
        if frames > 1:
            elements["0028|0008"] = ("IS", str(frames).encode())
        for tag, text in (tags or {}).items():
            elements[tag] = ("DS", text.encode())
        meta = _element("0002|0001", "OB", b"\x00\x01")
        meta += _element("0002|0002", "UI", XA_IMAGE_STORAGE.encode())
        meta += _element("0002|0003", "UI", b"1.2.3.4")
        meta += _element("0002|0010", "UI", EXPLICIT_LITTLE_ENDIAN.encode())
        meta = _element("0002|0000", "UL", struct.pack("<I", len(meta))) + meta
        body = b"".join(_element(tag, *elements[tag]) for tag in sorted(elements))
        path = tmp_path / name
        path.write_bytes(b"\x00" * 128 + b"DICM" + meta + body)
        return path

    return write


@pytest.fixture
def xa_file(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes (N, H, W) pixels as XA by pydicom; keywords add elements, None removes them."""

    def write(pixels: np.ndarray, name: str = "cine.dcm", **elements) -> Path:
        dataset = xa_dataset(pixels)
        for keyword, value in elements.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
        dataset.save_as(tmp_path / name)
        return tmp_path / name

    return write


def xa_dataset(pixels: np.ndarray) -> FileDataset:
    """Make a small XA data set, with what an image needs and a frame time."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = XA_IMAGE_STORAGE, "1.2.3.4"
    meta.TransferSyntaxUID = EXPLICIT_LITTLE_ENDIAN
    dataset = FileDataset("", {}, b"\x00" * 128, meta, is_implicit_VR=False, is_little_endian=True)
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = XA_IMAGE_STORAGE, "1.2.3.4", "XA"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.FrameTime = "40"
    dataset.PixelData = pixels.tobytes() + b"\x00" * (pixels.nbytes % 2)
    dataset["PixelData"].VR = "OB" if dataset.BitsAllocated == 8 else "OW"
    return dataset
