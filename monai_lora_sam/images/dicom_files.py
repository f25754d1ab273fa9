"""Read DICOM files up to their still encoded pixels; recognise them by content."""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

DICOM_DIRECTORY = "1.2.840.10008.1.3.10"
#: Most bytes of a file, of its inflated content and of its decoded pixels: 2 GiB, 1024 frames of 1024 x 1024 x 16 bits.
LARGEST_BYTES = 2**31

_SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
_FIRST_GROUPS = (0x0002, 0x0008)
_VRS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)
# With a length of four bytes after two that are reserved (PS3.5 7.1.2).
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())


def looks_like_dicom(path: str | Path) -> bool:
    """Return whether a file begins as DICOM does, with or without the preamble of 128 bytes and "DICM".

    Without them, the first two elements must be of group 0002 or 0008, in ascending order, in any byte order.

    Raises:
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as file:
        head = file.read(4096)
    if head[128:132] == b"DICM":
        return True
    return _begins_with_elements(head, "little") or _begins_with_elements(head, "big")


def _begins_with_elements(head: bytes, order: Literal["little", "big"]) -> bool:
    def number(start: int, length: int) -> int:
        return int.from_bytes(head[start : start + length], order)

    place, last = 0, 0
    for _ in range(2):
        tag = number(place, 2) << 16 | number(place + 2, 2)
        if len(head) < place + 12 or tag >> 16 not in _FIRST_GROUPS or tag < last:
            return False
        try:
            if tag & 0xFFFF:
                dictionary_VR(tag)
        except KeyError:
            return False
        kind = head[place + 4 : place + 6]
        if kind in _LONG_VRS:
            start, length = place + 12, number(place + 8, 4)
        elif kind in _VRS:
            start, length = place + 8, number(place + 6, 2)
        else:
            start, length = place + 8, number(place + 4, 4)
        place, last = start + length, tag + 1
        if place >= len(head):  # a long first element
            return kind in _VRS
    return True


def read_dataset(path: str | Path) -> pydicom.Dataset:
    """Read a DICOM file with its pixel data still encoded.

    Files without a preamble or a transfer syntax, as old systems wrote them, are read too, and files whose pixel data
    lack the delimiter at their end.

    Raises:
        FileNotFoundError: no such file.
        ValueError: empty, not DICOM, cut off, too large, or an object without pixels (a report, a directory). The
            message names the file, the expected and the found content.
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


def read_header(path: str | Path) -> pydicom.Dataset:
    """Read the elements of a DICOM file before its pixel data.

    Raises:
        OSError: the file cannot be read.
        ValueError: not DICOM, damaged or too large; the message names the file.
    """
    path = Path(path)
    with naming_file(path):
        return _parse(path, pixels=False)


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


def _parse(path: Path, pixels: bool = True) -> pydicom.Dataset:
    if not looks_like_dicom(path):
        with path.open("rb") as file:
            raise ValueError(f"it begins with {file.read(8)!r}")
    size = path.stat().st_size
    if size > LARGEST_BYTES:
        raise ValueError(f"expected a file of at most {LARGEST_BYTES} bytes, found {size}")
    with path.open("rb") as file:
        bare = file.read(132)[128:] != b"DICM"
    if not bare and read_file_meta_info(path).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        _check_inflated_size(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydicom, on single values: those that are used are checked here
        dataset = pydicom.dcmread(path, force=bare, stop_before_pixels=not pixels)
        # Where the last element has no end, pydicom 3 drops all elements, pydicom 2 that one.
        if pixels and (not len(dataset) or ("Rows" in dataset and "PixelData" not in dataset)):
            dataset = pydicom.dcmread(io.BytesIO(path.read_bytes() + _SEQUENCE_END), force=bare)
    if "Rows" not in dataset and "SOPClassUID" not in dataset and not dataset.get("file_meta"):
        raise ValueError("expected a readable DICOM image, found none of its elements")
    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = FileMetaDataset()
    if not dataset.file_meta.get("TransferSyntaxUID"):
        little = {True: ImplicitVRLittleEndian, False: ExplicitVRLittleEndian}[bool(dataset.is_implicit_VR)]
        dataset.file_meta.TransferSyntaxUID = little if dataset.is_little_endian else ExplicitVRBigEndian
    return dataset


def _check_inflated_size(path: Path) -> None:
    """Refuse a deflated file whose content is larger than the limit, before all of it is in memory."""
    content, start = path.read_bytes(), 132
    while content[start : start + 2] == b"\x02\0":  # the elements of the file's own group are not deflated
        wide = content[start + 4 : start + 6] in _LONG_VRS
        at, end = (start + 8, start + 12) if wide else (start + 6, start + 8)
        start = end + int.from_bytes(content[at:end], "little")
    inflater, size, block = zlib.decompressobj(-zlib.MAX_WBITS), 0, content[start:]
    while block and not inflater.eof:
        size += len(inflater.decompress(block, 2**24))
        block = inflater.unconsumed_tail
        if size > LARGEST_BYTES:
            raise ValueError(f"expected a file of at most {LARGEST_BYTES} bytes, found more once inflated")
