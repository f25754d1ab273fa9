"""Read the single frame of an image file as stored."""

from __future__ import annotations

import gzip
import shutil
import struct
import tempfile
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import nibabel
import numpy as np
import SimpleITK as sitk
import simplejpeg
from nibabel.spatialimages import SpatialImage
from PIL import Image

from monai_lora_sam.images.dicom_files import looks_like_dicom, naming_file, read_dataset
from monai_lora_sam.images.dicom_pixels import number_of_frames, stored_pixels
from monai_lora_sam.images.size_limits import TOO_LARGE, check_size

EXTENSIONS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".nii", ".nii.gz", ".dcm", ".dicom", ".ima")
_PNG, _GZIP = b"\x89PNG\r\n\x1a\n", b"\x1f\x8b"
_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
#: Tags of TIFF and EXIF.
_PHOTOMETRIC, _ORIENTATION = 262, 274
_MINISWHITE = 0
#: How an array (H, W, ...) is turned upright, by EXIF orientation: transposed first, then flipped along these axes.
_TURNS = {
    2: (False, 1),
    3: (False, (0, 1)),
    4: (False, 0),
    5: (True, ()),
    6: (True, 1),
    7: (True, (0, 1)),
    8: (True, 0),
}


def is_image_name(path: Path) -> bool:
    """Say whether a file's name has an extension of pictures."""
    return path.name.lower().endswith(EXTENSIONS)


def detect_format(path: Path) -> str:
    """Return the format by content: PNG, JPEG, TIFF, NIfTI or DICOM. The name of the file does not matter.

    Raises:
        FileNotFoundError: no such file.
        ValueError: empty, or of another format.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise FileNotFoundError(f"{path}: expected an image file, found {found}")
    with path.open("rb") as file:
        head = file.read(352)
    if not head:
        raise ValueError(f"{path}: expected an image, found an empty file")
    if head.startswith(_PNG):
        return "PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head[128:132] == b"DICM":
        return "DICOM"
    if head.startswith(_TIFF):
        return "TIFF"
    if head[344:348] == b"n+1\x00" or head[4:8] == b"n+2\x00" or head.startswith(_GZIP):
        return "NIfTI"
    if looks_like_dicom(path):
        return "DICOM"
    raise ValueError(
        f"{path}: expected PNG, JPEG, TIFF, NIfTI or DICOM, found a file that begins with {head[:8]!r}"
    )


def _require_one_frame(frames: int, height: int, width: int) -> None:
    check_size(height, width)
    if frames != 1:
        raise ValueError(
            f"expected a single frame, found {frames} frames of {height}x{width} pixels (rows x columns); "
            "save the frame to analyse as its own file"
        )


def _read_pillow(path: Path, found: str) -> np.ndarray:
    # Pillow, since it raises on most cut files, which SimpleITK fills with grey.
    # A phone's JPEG may hold further pictures behind the first (MPO).
    with Image.open(path, formats=[found, "MPO"] if found == "JPEG" else [found]) as image:
        _require_one_frame(1 if found == "JPEG" else getattr(image, "n_frames", 1), image.height, image.width)
        # The raw mode of the one tile; Pillow would drop the lower eight bits without a word.
        if found == "PNG" and str(image.tile[0].args).endswith("16B") and image.mode != "I;16":
            raise ValueError("expected 8-bit colour or grey of 8 or 16 bits, found 16-bit colour")
        _check_whole(path, found)
        image.load()
        array = np.asarray(image.convert(_WHOLE.get(image.mode, image.mode)))
        if image.mode in ("LA", "RGBA", "PA"):
            _check_alpha(np.asarray(image.convert("RGBA")))
        return _upright(array, image.getexif().get(_ORIENTATION, 1))


#: Mode in Pillow → mode that has its grey levels or colours.
_WHOLE = {"1": "L", "P": "RGB", "PA": "RGB", "LA": "L", "RGBA": "RGB", "CMYK": "RGB", "YCbCr": "RGB"}


def _check_whole(path: Path, found: str) -> None:
    """Decode by a stricter reader, since Pillow fills the rest of a picture whose data end early."""
    if found == "JPEG":
        data = path.read_bytes()
        if is_8_bit_jpeg(data):
            check_jpeg(data)
    else:
        check_png(path.read_bytes())


def check_png(data: bytes) -> None:
    """Raise a ``ValueError`` if the rows of a PNG stream are fewer than its header says."""
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    # Seven passes of every so many columns and rows (Adam7), or one of all.
    passes = (
        (8, 8, 0, 0),
        (8, 8, 4, 0),
        (4, 8, 0, 4),
        (4, 4, 2, 0),
        (2, 4, 0, 2),
        (2, 2, 1, 0),
        (1, 2, 0, 1),
    )
    expected = 0
    for across, down, left, top in passes if interlaced else ((1, 1, 0, 0),):
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        expected += rows * (1 + -(-columns * bits // 8)) if columns > 0 and rows > 0 else 0
    unpack, found, position = zlib.decompressobj(), 0, 8
    while position + 12 <= len(data) and found < expected:
        length = int.from_bytes(data[position : position + 4], "big")
        if data[position + 4 : position + 8] == b"IDAT":
            content = data[position + 8 : position + 8 + length]
            found += len(unpack.decompress(content, expected - found))
        position += 12 + length
    if found < expected:
        raise ValueError("expected a readable PNG image, found a corrupt one (its data end early)")


def is_8_bit_jpeg(data: bytes) -> bool:
    """Say whether a stream is JPEG of eight bits coded by Huffman, baseline or progressive, of 1 or 3 components."""
    position = 2
    while position + 9 < len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker in (0xC0, 0xC1, 0xC2):
            return data[position + 4] == 8 and data[position + 9] in (1, 3)
        if marker in (0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), 0xDA):
            return False
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return False


def check_jpeg(data: bytes) -> None:
    """Raise a ``ValueError`` if the data of a JPEG stream end early or are garbled.

    Decoders fill the missing part with grey and say nothing.
    """
    try:
        simplejpeg.decode_jpeg(data, "GRAY", strict=True)
    except ValueError as error:
        raise ValueError(f"expected a readable JPEG image, found a corrupt one ({error})") from error


def _check_alpha(pixels: np.ndarray) -> None:
    """Refuse a picture (H, W, 4) that is drawn in its transparency alone."""
    colours, alpha = pixels[..., :3], pixels[..., 3]
    if (colours == colours[:1, :1]).all() and (alpha != alpha[0, 0]).any():
        raise ValueError(
            "expected grey levels or colours, found one colour and a picture in the alpha channel; save the alpha "
            "channel as a grey image"
        )


def _upright(array: np.ndarray, orientation: object) -> np.ndarray:
    """Turn a picture (H, W, ...) as its EXIF orientation says, as viewers show it."""
    if orientation not in _TURNS:
        return array
    transposed, axes = _TURNS[cast(int, orientation)]
    return np.flip(array.swapaxes(0, 1) if transposed else array, cast(Any, axes)).copy()


def _read_nifti(path: Path, _: str) -> np.ndarray:
    # nibabel, since SimpleITK turns NaN into 0 and fills truncated files with 0.
    with nifti_name(path) as named:
        image = cast(SpatialImage, nibabel.load(named))
        shape = image.shape
        if len(shape) < 2:
            raise ValueError(f"expected an image of two dimensions, found the shape {shape}")
        _require_one_frame(int(np.prod(shape[2:], dtype=object)), shape[1], shape[0])
        zooms = [float(side) for side in image.header.get_zooms()[:2]]
        if abs(zooms[0] - zooms[1]) > 0.01 * max(map(abs, zooms)):
            raise ValueError(
                f"expected square pixels, found {zooms[1]:g} x {zooms[0]:g} mm (row, column); resample it"
            )
        check_gzip(path, 352 + int(np.prod(shape)) * image.get_data_dtype().itemsize)
        array = np.asanyarray(image.dataobj).reshape(shape[:2]).T
    if not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
        raise ValueError(f"expected grey pixels, found {array.dtype}")
    return array


def check_gzip(path: Path, size: int) -> None:
    """Read a packed file to its end, where its check sum is; nibabel stops at the last pixel.

    Args:
        path: of any file; only packed ones are read.
        size: bytes that it should hold; it may hold as many again, and a megabyte, of header extensions.
    """
    with path.open("rb") as file:
        if file.read(2) != _GZIP:
            return
    with gzip.open(path) as unpacked:
        found = 0
        while part := unpacked.read(1 << 20):
            found += len(part)
            if found > 2 * size + (1 << 20):
                raise ValueError(f"expected about {size} bytes in the packed file, found more")


@contextmanager
def nifti_name(path: Path) -> Iterator[Path]:
    """Give a NIfTI file of another name one that nibabel reads."""
    if path.name.lower().endswith((".nii", ".nii.gz")):
        yield path
        return
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder) / ("image.nii.gz" if packed else "image.nii")
        shutil.copyfile(path, named)
        yield named


def _read_tiff(path: Path, _: str) -> np.ndarray:
    with Image.open(path, formats=["TIFF"]) as image:
        tags: Any = image.tag_v2  # type: ignore[attr-defined]
        white_is_0, orientation = tags.get(_PHOTOMETRIC) == _MINISWHITE, tags.get(_ORIENTATION, 1)
    with _tiff_as_stored(path, orientation) as stored:
        reader = sitk.ImageFileReader()
        reader.SetImageIO("TIFFImageIO")
        reader.SetFileName(str(stored))
        reader.ReadImageInformation()
        width, height, *depth = reader.GetSize()
        _require_one_frame(int(np.prod(depth, dtype=object)), height, width)
        components = reader.GetNumberOfComponents()
        array = sitk.GetArrayFromImage(reader.Execute())
    array = array.reshape((height, width) if components == 1 else (height, width, components))
    if white_is_0 and array.dtype.kind == "u" and components == 1:
        array = np.iinfo(array.dtype).max - array
    if components == 4:
        _check_alpha(array)
    return _upright(array, orientation)


@contextmanager
def _tiff_as_stored(path: Path, orientation: int) -> Iterator[Path]:
    """Give a turned TIFF file a copy that is not, since SimpleITK turns some by halves."""
    if orientation == 1:
        yield path
        return
    data = bytearray(path.read_bytes())
    order: Any = "little" if data[:2] == b"II" else "big"
    directory = int.from_bytes(data[4:8], order)
    for entry in range(
        directory + 2, directory + 2 + 12 * int.from_bytes(data[directory : directory + 2], order), 12
    ):
        if int.from_bytes(data[entry : entry + 2], order) == _ORIENTATION:
            data[entry + 8 : entry + 10] = (1).to_bytes(2, order)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "image.tif"
        copy.write_bytes(data)
        yield copy


def _read_dicom(path: Path, _: str) -> np.ndarray:
    with naming_file(path):
        dataset = read_dataset(path)
        _require_one_frame(number_of_frames(dataset), int(dataset.Rows), int(dataset.Columns))
        return stored_pixels(dataset, path).array[0]


READERS = {
    "PNG": _read_pillow,
    "JPEG": _read_pillow,
    "TIFF": _read_tiff,
    "NIfTI": _read_nifti,
    "DICOM": _read_dicom,
}


def read_frame(path: str | Path) -> np.ndarray:
    """Read one frame with its stored values: (H, W) or (H, W, components), rows first.

    Alpha is left out; palettes become their colours, and one bit becomes 0 and 255. Pictures are turned as their
    EXIF orientation says. The second axis of NIfTI counts as rows.

    Raises:
        FileNotFoundError: no such file.
        ValueError: empty, corrupt, too large, of oblong pixels, or more than one frame. The message names the file.
    """
    path = Path(path)
    found = detect_format(path)
    with naming_image(path, found), warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # sizes have a limit of their own
        return READERS[found](path, found)


@contextmanager
def naming_image(path: Path, found: str) -> Iterator[None]:
    """Turn every error of a reader inside the block into a ``ValueError`` that names the file."""
    try:
        yield
    except ValueError as error:
        if str(error).startswith(f"{path}: "):
            raise
        raise ValueError(f"{path}: {error}") from error
    except Image.DecompressionBombError:
        raise ValueError(f"{path}: {TOO_LARGE}, found more") from None
    except MemoryError:
        raise
    except Exception as error:  # damaged headers make the readers raise errors of any type
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise ValueError(
            f"{path}: expected a readable {found} image, found a corrupt one ({reason})"
        ) from error


def to_grey(array: np.ndarray) -> np.ndarray:
    """Turn (H, W) or (H, W, components) into (H, W).

    Grey repeated in three channels keeps its type; colour becomes float32 luminance (Rec. 601, as in
    Pillow and OpenCV); alpha is ignored.
    """
    if array.ndim == 2:
        return array
    if array.shape[2] in (2, 4):
        array = array[..., :-1]
    if (array == array[..., :1]).all():
        return array[..., 0]
    if array.shape[2] != 3:
        raise ValueError(f"expected grey, RGB or RGBA pixels, found {array.shape[2]} components")
    return (array.astype(np.float64) @ np.array([0.299, 0.587, 0.114])).astype(np.float32)
