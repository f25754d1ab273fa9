"""Read headers and stored pixels of DICOM files in any compression."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

DICOM_DIRECTORY = "1.2.840.10008.1.3.10"

_SYNTAXES = "1.2.840.10008.1.2"
_UNCOMPRESSED = (_SYNTAXES, *(f"{_SYNTAXES}.{end}" for end in ("1", "1.99", "2")))
# Syntaxes that the GDCM in SimpleITK decodes: baseline, extended and lossless JPEG, JPEG-LS, JPEG 2000, RLE.
_GDCM_SYNTAXES = frozenset(
    f"{_SYNTAXES}.{end}" for end in ("4.50", "4.51", "4.57", "4.70", "4.80", "4.81", "4.90", "4.91", "5")
)
# JPEG and JPEG 2000 code streams both end with this marker.
_END_OF_IMAGE = b"\xff\xd9"
_WITH_END_MARKER = tuple(f"{_SYNTAXES}.4.{group}" for group in (5, 7, 9))
_IMAGE_ELEMENTS = (
    *("SOPClassUID", "SOPInstanceUID", "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames"),
    *("PlanarConfiguration", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "PixelData"),
)
#: Beginning of a compression's UID → way to decode it.
_REMEDIES = {
    "4.5": "pip install pylibjpeg pylibjpeg-libjpeg",
    "4.7": "pip install pylibjpeg pylibjpeg-libjpeg",
    "4.8": "pip install pyjpegls",
    "4.90": "pip install pylibjpeg pylibjpeg-openjpeg",
    "4.91": "pip install pylibjpeg pylibjpeg-openjpeg",
    "4.20": "pip install pylibjpeg pylibjpeg-openjpeg",
    "4.10": "it is a video: export its frames uncompressed",
}


def read_dataset(path: str | Path) -> pydicom.Dataset:
    """Read a DICOM file with its pixel data still encoded.

    Files without a preamble or a transfer syntax, as old systems wrote them, are read too.

    Raises:
        FileNotFoundError: no such file.
        ValueError: empty, not DICOM, cut off, or an object without pixels (a report, a directory). The message
            names the file, the expected and the found content.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: expected a DICOM file, found {'a folder' if path.is_dir() else 'nothing'}"
        )
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: expected a DICOM image, found an empty file")
    with naming_file(path):
        dataset = _parse(path)
        kind = str(dataset.file_meta.get("MediaStorageSOPClassUID", "")) or str(
            dataset.get("SOPClassUID", "")
        )
        has_pixels = "PixelData" in dataset
    if kind == DICOM_DIRECTORY:
        raise ValueError(
            f"{path}: expected a DICOM image, found a DICOMDIR, which only lists the images beside it"
        )
    if not has_pixels:
        found = f"{UID(kind).name} without pixel data" if kind else "a file without pixel data"
        raise ValueError(f"{path}: expected a readable DICOM image, found {found}")
    return dataset


@contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Turn every error inside the block into a `ValueError` that names the file.

    Damaged bytes make pydicom raise errors of any type. `FileNotFoundError` and `MemoryError` pass unchanged.
    """
    try:
        yield
    except (FileNotFoundError, MemoryError):
        raise
    except Exception as error:
        text = str(error) if isinstance(error, ValueError) else ""
        if text.startswith(f"{path}: "):
            raise
        raise (
            ValueError(f"{path}: {text}") if text.startswith("expected ") else corrupt(path, error)
        ) from error


def corrupt(path: Path, reason: object) -> ValueError:
    """Return the error for a DICOM file that cannot be read."""
    line = (str(reason).strip().splitlines() or [type(reason).__name__])[-1]
    return ValueError(f"{path}: expected a readable DICOM image, found a corrupt one ({line})")


def _parse(path: Path) -> pydicom.Dataset:
    try:
        dataset = pydicom.dcmread(path)
    except InvalidDicomError:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of a file that is not DICOM pydicom warns at every byte.
            dataset = pydicom.dcmread(path, force=True)
        if "Rows" not in dataset and "SOPClassUID" not in dataset:
            raise ValueError(f"it begins with {path.read_bytes()[:8]!r}") from None
    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = FileMetaDataset()
    if not dataset.file_meta.get("TransferSyntaxUID"):
        little = {True: ImplicitVRLittleEndian, False: ExplicitVRLittleEndian}[bool(dataset.is_implicit_VR)]
        dataset.file_meta.TransferSyntaxUID = little if dataset.is_little_endian else ExplicitVRBigEndian
    return dataset


def stored_pixels(dataset: pydicom.Dataset, path: Path) -> np.ndarray:
    """Decode all frames as stored: (N, H, W), or (N, H, W, 3) for colour; no window, no inversion.

    pydicom decodes uncompressed and RLE pixels. Other compressions go to the plug-in that pydicom finds, else to
    SimpleITK. Bits outside Bits Stored (old overlays) are cleared; palettes become their colours.

    Raises:
        ValueError: cut off, damaged, or a compression without an installed decoder; the message then names the
            package to install.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    for keyword, usual in (
        ("SamplesPerPixel", 1),
        ("PixelRepresentation", 0),
        ("PhotometricInterpretation", "MONOCHROME2"),
    ):
        if dataset.get(keyword) is None:
            setattr(dataset, keyword, usual)
    if dataset.get("BitsStored") is None and dataset.get("BitsAllocated"):
        dataset.BitsStored = dataset.BitsAllocated
    shape = tuple(int(dataset.get(key) or 0) for key in ("Rows", "Columns"))
    if min(shape) < 1:
        raise corrupt(path, f"{shape[0]} rows, {shape[1]} columns")
    if syntax not in _UNCOMPRESSED:
        array = _decode_compressed(dataset, path)
    else:
        try:
            array = _decode_with_pydicom(dataset)
        except Exception as error:
            raise corrupt(path, error) from error
    frames = number_of_frames(dataset)
    components = max(array.size // (frames * shape[0] * shape[1]), 1)
    try:
        array = array.reshape(frames, *shape, *(() if components == 1 else (components,)))
    except ValueError as error:
        raise corrupt(
            path, f"{frames} frames of {shape[0]}x{shape[1]} announced, {array.shape} stored"
        ) from error
    if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
        return _apply_palette(array, dataset)
    return _clear_unused_bits(array, dataset)


def number_of_frames(dataset: pydicom.Dataset) -> int:
    """Return Number of Frames (0028,0008), 1 where it is missing or empty."""
    return max(int(dataset.get("NumberOfFrames") or 1), 1)


def _decode_with_pydicom(dataset: pydicom.Dataset) -> np.ndarray:
    try:
        from pydicom.pixels import pixel_array
    except ImportError:  # pydicom 2, which MONAI Label needs, leaves YBR as it is: Y is the luminance.
        array = dataset.pixel_array
        return array[..., 0] if str(dataset.PhotometricInterpretation).startswith("YBR") else array
    return pixel_array(dataset)


def _apply_palette(array: np.ndarray, dataset: pydicom.Dataset) -> np.ndarray:
    pydicom_2 = pydicom.__version__.startswith("2.")
    processing = import_module("pydicom.pixel_data_handlers.util" if pydicom_2 else "pydicom.pixels")
    return processing.apply_color_lut(array, dataset)


def _clear_unused_bits(array: np.ndarray, dataset: pydicom.Dataset) -> np.ndarray:
    """Keep Bits Stored below High Bit, with their sign; older files have overlays in the other bits."""
    allocated = array.dtype.itemsize * 8
    stored = int(dataset.get("BitsStored") or allocated)
    high = int(dataset.get("HighBit", stored - 1) or 0)
    if array.dtype.kind not in "iu" or array.ndim > 3 or stored >= allocated or high >= allocated:
        return array
    # Shifting up and down again repeats the sign in signed types and fills with 0 in unsigned ones.
    return (array << (allocated - 1 - high)) >> (allocated - stored)


def _decode_compressed(dataset: pydicom.Dataset, path: Path) -> np.ndarray:
    syntax = dataset.file_meta.TransferSyntaxUID
    # Decoders fill missing pixels with grey and raise nothing.
    if syntax.startswith(_WITH_END_MARKER) and not _ends_whole(dataset.PixelData):
        raise corrupt(path, "its last compressed frame is cut off")
    failures: list[Exception] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for decode in (_decode_with_pydicom, _decode_with_simpleitk):
            try:
                return decode(dataset)
            except Exception as error:
                failures.append(error)
    if syntax in _GDCM_SYNTAXES:
        raise corrupt(path, failures[-1])
    kind = syntax.removeprefix(f"{_SYNTAXES}.")
    remedy = next(
        (words for start, words in _REMEDIES.items() if kind.startswith(start)), "convert it to uncompressed"
    )
    raise ValueError(
        f"{path}: expected a compression that an installed codec decodes, found {syntax.name} ({syntax}); {remedy}"
    )


def _ends_whole(encapsulated: bytes) -> bool:
    delimiter = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    return encapsulated.removesuffix(delimiter).rstrip(b"\x00").endswith(_END_OF_IMAGE)


def _decode_with_simpleitk(dataset: pydicom.Dataset) -> np.ndarray:
    """Decode with the GDCM in SimpleITK, which is always installed and knows lossless JPEG."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
        dataset.SOPClassUID,
        dataset.SOPInstanceUID,
    )
    bare = FileDataset("", {}, b"\x00" * 128, meta, is_implicit_VR=False, is_little_endian=True)
    for key in _IMAGE_ELEMENTS:
        if key in dataset:
            bare[key] = dataset[key]
    if bare.PhotometricInterpretation == "MONOCHROME1":
        bare.PhotometricInterpretation = "MONOCHROME2"  # SimpleITK would invert it, and so would the caller.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.dcm"
        bare.save_as(path)
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(path))
        array = sitk.GetArrayFromImage(reader.Execute())
    # Some syntaxes are widened to 32 bits on the way.
    signed = "i" if int(dataset.get("PixelRepresentation") or 0) else "u"
    return array.astype(f"{signed}{int(dataset.BitsAllocated) // 8}")


def element_numbers(dataset: Any, keyword: str) -> list[float] | None:
    """Return the numbers of a DICOM element, or None where it is absent or empty.

    Raises:
        ValueError: the element holds anything else; the message names its tag.
    """
    try:
        value = dataset.get(keyword)
        if value is None or value == "":
            return None
        found = [
            float(part)
            for part in (value if isinstance(value, Sequence) and not isinstance(value, str) else [value])
        ]
    except (ValueError, TypeError, ArithmeticError, OverflowError):
        found = [np.nan]
    if not np.isfinite(found).all():
        tag = pydicom.datadict.tag_for_keyword(keyword) or 0
        raw = dataset.get_item(tag).value
        text = raw.decode("latin-1").strip() if isinstance(raw, bytes) else str(raw)
        raise ValueError(
            f"expected numbers in DICOM tag ({tag >> 16:04x},{tag & 0xFFFF:04x}), found {text!r}"
        )
    return found or None
