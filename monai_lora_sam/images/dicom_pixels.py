"""Decode the pixels of DICOM files in any compression, by the size of a frame that the header says."""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, SecondaryCaptureImageStorage

from monai_lora_sam.images.dicom_files import LARGEST_BYTES, corrupt, naming_file
from monai_lora_sam.images.dicom_streams import RLE, CodeStream, coded_frames, is_known
from monai_lora_sam.images.dicom_tags import OptionalTags, named
from monai_lora_sam.images.size_limits import MAXIMUM_PIXELS

#: Most frames of a file: eleven minutes at 15 frames per second.
MOST_FRAMES = 10_000

_SYNTAXES = "1.2.840.10008.1.2"
_UNCOMPRESSED = (_SYNTAXES, *(f"{_SYNTAXES}.{end}" for end in ("1", "1.99", "2")))
# Syntaxes that the GDCM in SimpleITK decodes: baseline, extended and lossless JPEG, JPEG-LS, JPEG 2000, RLE.
_GDCM_SYNTAXES = frozenset(
    f"{_SYNTAXES}.{end}" for end in ("4.50", "4.51", "4.57", "4.70", "4.80", "4.81", "4.90", "4.91", "5")
)
_ADDRESS = re.compile(r"\(0x[0-9a-f]+\)")
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


@dataclass(frozen=True)
class StoredPixels:
    """Hold decoded frames as stored.

    Attributes:
        array: (N, H, W), or (N, H, W, 3) for colour; bits outside Bits Stored are cleared.
        padding: lowest and highest stored value of pixels outside the picture; None where there are none.
        warnings: doubts about the header, in words.
    """

    array: np.ndarray
    padding: tuple[int, int] | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Layout:
    """Hold the size of a frame by the header."""

    rows: int
    columns: int
    samples: int
    bits: int
    stored: int
    high: int
    photometric: str

    @property
    def frame_bytes(self) -> float:
        """Return the size of an uncompressed frame in bytes; 4:2:2 shares the colours of two pixels."""
        samples = (
            2 if self.photometric.startswith("YBR") and self.photometric.endswith("422") else self.samples
        )
        return self.rows * self.columns * samples * self.bits / 8

    @property
    def words(self) -> str:
        return f"{self.rows}x{self.columns} pixels (rows x columns) of {self.samples} x {self.bits} bits"


def number_of_frames(dataset: pydicom.Dataset) -> int:
    """Return how many frames the pixel data of a data set holds, whatever Number of Frames (0028,0008) says.

    Raises:
        ValueError: fewer than announced, no whole frame, or a size beyond the limits.
    """
    layout = _layout(dataset)
    there, announced, _ = _count(dataset, layout)
    return _checked_count(there, announced, layout)


def stored_pixels(dataset: pydicom.Dataset, path: Path) -> StoredPixels:
    """Decode all frames as stored: no window, no inversion.

    pydicom decodes uncompressed and RLE pixels. Other compressions go to the plug-in that pydicom finds, else to
    SimpleITK. Palettes become their colours. Samples per Pixel, Rows, Columns and Bits Allocated say the size of a
    frame, and the pixel data say how many there are; Number of Frames is set to it.

    Raises:
        ValueError: cut off, damaged, beyond the limits, or a compression without an installed decoder; the message
            then names the package to install.
    """
    doubts: list[str] = []
    with naming_file(path):
        layout = _layout(dataset)
        syntax = str(dataset.file_meta.TransferSyntaxUID)
        if syntax not in _UNCOMPRESSED and not is_known(syntax):
            raise _undecodable(dataset, path)
        there, announced, streams = _count(dataset, layout)
        count = _checked_count(there, announced, layout)
        tags = OptionalTags(dataset, doubts)
        if tags.number("NumberOfFrames", least=1) not in (None, count):
            doubts.append(f"The file announces {announced} frame(s) and holds {count}; all were read.")
        dataset.add_new("NumberOfFrames", "IS", count)  # in place of any other content
        bare = _bare(dataset, layout, count)
        array = _decoded(bare, streams, layout, path)
        padding = None
        if layout.photometric == "PALETTE COLOR":
            array = _apply_palette(array, dataset)
        elif array.ndim == 3:
            padding = _padding(tags, array.dtype, layout)
            array = _clear_unused_bits(array, layout)
    return StoredPixels(array, padding, tuple(doubts))


def _layout(dataset: pydicom.Dataset) -> _Layout:
    def number(keyword: str, usual: int | None = None) -> int:
        found = OptionalTags(dataset, []).number(keyword)
        if found is None and usual is None:
            raise ValueError(f"expected a number in DICOM {named(keyword)}, found none")
        return int(found if found is not None else usual or 0)

    rows, columns = number("Rows", 0), number("Columns", 0)
    if min(rows, columns) < 1:
        raise ValueError(
            f"expected a readable DICOM image, found a corrupt one ({rows} rows, {columns} columns)"
        )
    if rows * columns > MAXIMUM_PIXELS:
        raise ValueError(
            f"expected frames of at most {MAXIMUM_PIXELS} pixels, found {rows}x{columns} (rows x columns)"
        )
    photometric = OptionalTags(dataset, []).text("PhotometricInterpretation").upper() or "MONOCHROME2"
    colour = photometric.startswith(("RGB", "YBR"))
    samples = number("SamplesPerPixel", 3 if colour else 1)
    if samples not in (1, 3) or (colour and samples == 1):
        raise ValueError(
            f"expected {'3 samples' if colour else '1 or 3 samples'} per pixel of {photometric}, found {samples}"
        )
    bits = number("BitsAllocated")
    if bits not in (1, 8, 16, 32):
        raise ValueError(f"expected 1, 8, 16 or 32 bits for each pixel, found {bits}")
    stored = number("BitsStored", bits) or bits
    if stored > bits:
        raise ValueError(f"expected at most the {bits} bits allocated to be stored, found {stored}")
    high = number("HighBit", stored - 1)
    return _Layout(
        rows,
        columns,
        samples,
        bits,
        stored,
        high if stored - 1 <= high < bits else stored - 1,
        photometric,
    )


def _count(dataset: pydicom.Dataset, layout: _Layout) -> tuple[int, int | None, list[bytes] | None]:
    """Return the frames that are there, those that are announced, and the code streams of compressed ones."""
    tag = OptionalTags(dataset, []).number("NumberOfFrames", least=1)
    announced = None if tag is None else int(tag)
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    if syntax not in _UNCOMPRESSED:
        if not is_known(syntax):
            return announced or 1, announced, None
        streams, listed = coded_frames(bytes(dataset.PixelData or b""), syntax)
        return len(streams), announced or listed or None, streams
    data = bytes(dataset.PixelData or b"")
    there = int(len(data) // layout.frame_bytes)
    rest = data[int(there * layout.frame_bytes) :]
    if not there or len(set(rest)) > 1:
        expected = (
            f"{announced or 1} frame(s) of {layout.words}, {int((announced or 1) * layout.frame_bytes)} bytes"
        )
        raise ValueError(
            f"expected a readable DICOM image, found a corrupt one ({expected} announced, {len(data)} bytes stored)"
        )
    return there, announced, None


def _checked_count(there: int, announced: int | None, layout: _Layout) -> int:
    if announced and there < announced:
        raise ValueError(
            "expected a readable DICOM image, found a corrupt one "
            f"({announced} frames of {layout.words} announced, {there} stored)"
        )
    if there > MOST_FRAMES:
        raise ValueError(f"expected at most {MOST_FRAMES} frames, found {there}")
    size = there * max(layout.frame_bytes, 1)
    if size > LARGEST_BYTES:
        raise ValueError(f"expected at most {LARGEST_BYTES} bytes of pixels, found {int(size)}")
    return there


def _bare(dataset: pydicom.Dataset, layout: _Layout, frames: int) -> FileDataset:
    """Return a data set of the pixels and the elements that decoders need, made consistent."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SecondaryCaptureImageStorage, UID("1.2.3")
    little = not str(meta.TransferSyntaxUID).endswith("1.2.2")
    implicit = str(meta.TransferSyntaxUID) == _SYNTAXES
    bare = FileDataset("", {}, b"\0" * 128, meta, is_implicit_VR=implicit, is_little_endian=little)
    bare.SOPClassUID, bare.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    bare.SamplesPerPixel, bare.PhotometricInterpretation = layout.samples, layout.photometric
    bare.NumberOfFrames, bare.Rows, bare.Columns = frames, layout.rows, layout.columns
    bare.BitsAllocated, bare.BitsStored, bare.HighBit = layout.bits, layout.stored, layout.high
    bare.PixelRepresentation = int(dataset.get("PixelRepresentation") or 0) & 1
    bare.PixelData = dataset.PixelData
    bare["PixelData"].VR = dataset["PixelData"].VR
    if layout.samples == 3:
        bare.PlanarConfiguration = int(dataset.get("PlanarConfiguration") or 0) & 1
    elif str(meta.TransferSyntaxUID) in (*_UNCOMPRESSED, RLE):
        bare.BitsStored, bare.HighBit = layout.bits, layout.bits - 1  # unused bits are cleared here
    if layout.photometric == "MONOCHROME1":
        bare.PhotometricInterpretation = "MONOCHROME2"  # SimpleITK would invert it, and so would the caller.
    return bare


def _decoded(bare: FileDataset, streams: list[bytes] | None, layout: _Layout, path: Path) -> np.ndarray:
    """Return (N, H, W) or (N, H, W, 3) from code streams, or from uncompressed pixels where there are none."""
    if streams is not None:
        return _compressed(bare, streams, layout, path)
    frames = int(bare.NumberOfFrames)
    try:
        size = int(np.ceil(frames * layout.frame_bytes))
        bare.PixelData = bytes(bare.PixelData)[:size] + b"\0" * (size % 2)
        return _shaped(_decode_with_pydicom(bare), layout, frames)
    except Exception as error:
        raise corrupt(path, error) from error


def _shaped(array: np.ndarray, layout: _Layout, frames: int) -> np.ndarray:
    """Return pixels as (N, H, W) or (N, H, W, 3); pydicom 2 leaves the luminance alone of YBR."""
    shape = (frames, layout.rows, layout.columns)
    return array.reshape(shape if array.size == np.prod(shape) else (*shape, layout.samples))


def _compressed(bare: FileDataset, streams: list[bytes], layout: _Layout, path: Path) -> np.ndarray:
    syntax = str(bare.file_meta.TransferSyntaxUID)
    pictures: list[np.ndarray] = []
    decoders = [_decode_with_pydicom, _decode_with_simpleitk]
    for index, data in enumerate(streams):
        place = f"frame {index + 1} of {len(streams)}: "
        stream = CodeStream(data, syntax)
        size = (layout.rows, layout.columns, layout.samples)
        fault = stream.fault
        if not fault and stream.size is not None and stream.size != size and stream.size[0]:
            fault = f"it has {stream.size} rows, columns and components, announced are {size}"
        if not fault and syntax == RLE and len(data) > 2 * layout.frame_bytes + 4096:
            fault = f"it has {len(data)} bytes for {int(layout.frame_bytes)} bytes of pixels"
        if fault and syntax in _GDCM_SYNTAXES:
            raise corrupt(path, place + fault)
        failures: list[Exception] = []
        for decode in list(decoders):
            try:
                picture = _decode_frame(bare, stream.data, layout, decode)
                decoders = [decode]
                break
            except Exception as error:
                failures.append(error)
        else:
            if syntax in _GDCM_SYNTAXES:
                raise corrupt(path, place + _reason(failures[-1]))
            raise _undecodable(bare, path)
        if fault or not _is_whole(picture, stream, bare, layout, decoders[0]):
            raise corrupt(path, place + (fault or "its data end before the picture does"))
        pictures.append(picture)
    return np.stack(pictures)


def _reason(error: Exception) -> str:
    """Return the last line of a decoder's error without addresses in memory."""
    lines = [line.strip() for line in _ADDRESS.sub("", str(error)).splitlines()]
    return next(
        (line for line in reversed(lines) if line and not line.startswith("Exception thrown")), "damaged"
    )


def _decode_frame(
    bare: FileDataset, data: bytes, layout: _Layout, decode: Callable[[FileDataset], np.ndarray]
) -> np.ndarray:
    single = copy(bare)
    single.NumberOfFrames = 1
    single.PixelData = encapsulate([data])
    single["PixelData"].VR = "OB"
    single["PixelData"].is_undefined_length = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _shaped(decode(single), layout, 1)[0]


def _is_whole(
    picture: np.ndarray,
    stream: CodeStream,
    bare: FileDataset,
    layout: _Layout,
    decode: Callable[[FileDataset], np.ndarray],
) -> bool:
    """Return whether a JPEG's data reach to the end of its picture.

    Decoders fill the rest of a picture with one value and raise nothing. Further data change such a picture, and
    leave alone one that is complete and has a plain border.
    """
    longer = stream.with_more_data
    uneven = np.flatnonzero((picture != picture[-1, -1]).reshape(len(picture), -1).any(axis=1))
    plain = len(picture) - 1 - int(uneven[-1]) if len(uneven) else len(picture)
    if not longer or not (plain or stream.is_progressive):
        return True
    # GDCM writes to the console of data beyond the picture; most borders are proved whole without them.
    if stream.ends_evenly((plain - 1) * picture.shape[1]):
        return True
    try:
        return bool((_decode_frame(bare, longer, layout, decode) == picture).all())
    except Exception:  # the further data were read and made no sense
        return False


def _undecodable(dataset: pydicom.Dataset, path: Path) -> ValueError:
    syntax = dataset.file_meta.TransferSyntaxUID
    kind = syntax.removeprefix(f"{_SYNTAXES}.")
    remedy = next(
        (words for start, words in _REMEDIES.items() if kind.startswith(start)), "convert it to uncompressed"
    )
    return ValueError(
        f"{path}: expected a compression that an installed codec decodes, found {syntax.name} ({syntax}); {remedy}"
    )


def _decode_with_pydicom(dataset: pydicom.Dataset) -> np.ndarray:
    try:
        from pydicom.pixels import pixel_array
    except ImportError:  # pydicom 2, which MONAI Label needs, leaves YBR as it is: Y is the luminance.
        array = dataset.pixel_array
        return array[..., 0] if str(dataset.PhotometricInterpretation).startswith("YBR") else array
    return pixel_array(dataset)


def _decode_with_simpleitk(dataset: FileDataset) -> np.ndarray:
    """Decode with the GDCM in SimpleITK, which is always installed and knows lossless JPEG."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.dcm"
        dataset.save_as(path)
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(path))
        array = sitk.GetArrayFromImage(reader.Execute())
    # Some syntaxes are widened to 32 bits on the way.
    return array.astype(f"{'i' if dataset.PixelRepresentation else 'u'}{dataset.BitsAllocated // 8}")


def _apply_palette(array: np.ndarray, dataset: pydicom.Dataset) -> np.ndarray:
    pydicom_2 = pydicom.__version__.startswith("2.")
    processing = import_module("pydicom.pixel_data_handlers.util" if pydicom_2 else "pydicom.pixels")
    return processing.apply_color_lut(array, dataset)


def _clear_unused_bits(array: np.ndarray, layout: _Layout) -> np.ndarray:
    """Keep Bits Stored below High Bit, with their sign; older files have overlays in the other bits."""
    allocated = array.dtype.itemsize * 8
    if array.dtype.kind not in "iu" or layout.stored >= allocated or layout.high >= allocated:
        return array
    # Shifting up and down again repeats the sign in signed types and fills with 0 in unsigned ones.
    return (array << (allocated - 1 - layout.high)) >> (allocated - layout.stored)


def _padding(tags: OptionalTags, dtype: np.dtype, layout: _Layout) -> tuple[int, int] | None:
    """Return the range of Pixel Padding Value and Range Limit, as these values are stored (PS3.3 C.7.5.1.1.2)."""
    first = tags.number("PixelPaddingValue")
    if first is None or dtype.kind not in "iu":
        return None
    last = tags.number("PixelPaddingRangeLimit")
    ends = np.array([int(first), int(first if last is None else last)]).astype(dtype)
    ends = _clear_unused_bits(ends, layout)
    return int(ends.min()), int(ends.max())
