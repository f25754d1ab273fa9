"""Read one angiogram from a file: pixels with rows first, spacing at the isocentre and view angles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

# Rec. 601 weights, the ones Pillow and OpenCV use for grey.
LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float64)
# Deeper images are scaled between these percentiles: a hot pixel or a black collimator edge must not
# decide the contrast of the vessels.
WINDOW_PERCENTILES = (0.1, 99.9)

EXTENSIONS = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "TIFF": (".tif", ".tiff"),
    "NIfTI": (".nii", ".nii.gz"),
    "DICOM": (".dcm", ".dicom", ".ima", ""),
}
READERS = {
    "PNG": "PNGImageIO",
    "JPEG": "JPEGImageIO",
    "TIFF": "TIFFImageIO",
    "NIfTI": "NiftiImageIO",
    "DICOM": "GDCMImageIO",
}


@dataclass(frozen=True)
class Angiogram:
    """Hold one frame and what its file says of it.

    Attributes:
        pixels: (H, W) float32 in 0..1, rows first.
        pixel_spacing_mm: millimetres per pixel at the isocentre, or None when the file does not say.
        view: (primary, secondary) positioner angle in degrees, DICOM's signs (LAO and cranial positive), or None.
        modality: DICOM modality ("XA", ...), or "" when the file does not say.
        path: where it was read from.
    """

    pixels: np.ndarray
    pixel_spacing_mm: float | None
    view: tuple[float, float] | None
    modality: str
    path: Path


def is_image_name(path: Path) -> bool:
    """Say whether a file's name is that of an image `read_angiogram` reads."""
    return _extension(path) in {e for group in EXTENSIONS.values() for e in group if e}


def _extension(path: Path) -> str:
    name = path.name.lower()
    if name.endswith(".nii.gz"):
        return ".nii.gz"
    suffix = path.suffix.lower()
    # DICOM files are often named by a bare UID, whose last component is no extension.
    return "" if suffix[1:].isdigit() else suffix


def _detect_format(path: Path) -> str:
    """Tell the format by content, and refuse a file whose name says otherwise."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: expected an image file, found {'a folder' if path.is_dir() else 'nothing'}"
        )
    with path.open("rb") as file:
        head = file.read(352)
    extension = _extension(path)
    if not head:
        raise ValueError(f"{path}: expected an image, found an empty file")
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        found = "PNG"
    elif head.startswith(b"\xff\xd8\xff"):
        found = "JPEG"
    elif head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+") and head[128:132] != b"DICM":
        found = "TIFF"
    elif (
        head[344:348] in (b"n+1\x00", b"n+2\x00")
        or head[4:8] == b"n+2\x00"
        or (head[:2] == b"\x1f\x8b" and extension == ".nii.gz")
    ):
        found = "NIfTI"
    elif head[128:132] == b"DICM" or extension in EXTENSIONS["DICOM"]:
        found = "DICOM"
    else:
        raise ValueError(
            f"{path}: expected PNG, JPEG, TIFF, NIfTI or DICOM, found a file that begins with {head[:8]!r}"
        )
    if extension not in EXTENSIONS[found]:
        raise ValueError(
            f"{path}: expected what the extension '{extension}' says, found {found} by content; "
            f"rename it to {EXTENSIONS[found][0]}"
        )
    return found


def _numbers(reader: sitk.ImageFileReader, tag: str) -> list[float] | None:
    """Return a DICOM tag's decimal strings, or None when it is absent or empty."""
    if not reader.HasMetaDataKey(tag):
        return None
    text = reader.GetMetaData(tag).strip().strip("\x00").strip()
    if not text:
        return None
    try:
        values = [float(part) for part in text.split("\\")]
    except ValueError as error:
        raise ValueError(f"DICOM tag ({tag.replace('|', ',')}): expected numbers, found {text!r}") from error
    return values if all(np.isfinite(values)) else None


def _isocentre_spacing(reader: sitk.ImageFileReader) -> float | None:
    """Return mm per pixel at the isocentre (DICOM PS3.3 C.8.7.5: imager spacing over the magnification)."""
    imager = _numbers(reader, "0018|1164")
    source_detector, source_patient = _numbers(reader, "0018|1110"), _numbers(reader, "0018|1111")
    if imager and source_detector and source_patient and source_detector[0] > 0 and source_patient[0] > 0:
        spacing, divisor = imager, source_detector[0] / source_patient[0]
    else:
        spacing, divisor = _numbers(reader, "0028|0030"), 1.0
    if not spacing:
        return None
    if min(spacing) <= 0 or abs(spacing[0] - spacing[-1]) > 0.01 * spacing[0]:
        raise ValueError(f"expected square pixels with a positive spacing, found {spacing} mm (row, column)")
    return float(np.mean(spacing)) / divisor


def read_pixels(path: str | Path) -> tuple[np.ndarray, sitk.ImageFileReader, str]:
    """Read one stored frame without touching its values.

    Returns:
        the array, (H, W) or (H, W, components), rows first, in the file's own type; the reader, for
        the file's tags; the format ("PNG", "JPEG", "TIFF", "NIfTI" or "DICOM").

    Raises:
        FileNotFoundError: no such file.
        ValueError: empty, corrupt, wrongly named, or more than one frame.
    """
    path = Path(path)
    found = _detect_format(path)
    reader = sitk.ImageFileReader()
    reader.SetImageIO(READERS[found])
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        frames = int(np.prod(reader.GetSize()[2:])) if reader.GetDimension() > 2 else 1
        array = sitk.GetArrayFromImage(reader.Execute()) if frames == 1 else None
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(
            f"{path}: expected a readable {found} image, found a corrupt one ({reason})"
        ) from error
    if array is None:
        raise ValueError(
            f"{path}: expected a single frame, found {frames} frames of {reader.GetSize()[1]}x{reader.GetSize()[0]} "
            "pixels; save the frame to analyse as its own file"
        )
    width, height = reader.GetSize()[:2]
    components = reader.GetNumberOfComponents()
    return array.reshape((height, width) if components == 1 else (height, width, components)), reader, found


def to_grey(array: np.ndarray) -> np.ndarray:
    """Turn (H, W) or (H, W, components) into (H, W): alpha is ignored, grey repeated in RGB keeps its type."""
    if array.ndim == 2:
        return array
    if array.shape[2] in (2, 4):
        array = array[..., :-1]
    if array.shape[2] == 1 or (array == array[..., :1]).all():
        return array[..., 0]
    if array.shape[2] != 3:
        raise ValueError(f"expected grey, RGB or RGBA pixels, found {array.shape[2]} components")
    return (array.astype(np.float64) @ LUMINANCE).astype(np.float32)


def _to_unit(grey: np.ndarray, stored: np.dtype, full_scale: float | None) -> np.ndarray:
    """Scale to 0..1: 8-bit over 255, floats already in 0..1 untouched, deeper by the robust window."""
    if not np.isfinite(grey).all():
        raise ValueError(
            f"expected finite pixels, found {int((~np.isfinite(grey)).sum())} NaN or infinite ones"
        )
    grey = grey.astype(np.float64)
    if stored == np.uint8 or full_scale is not None:
        scaled = grey / (full_scale or 255.0)
    elif np.issubdtype(stored, np.floating) and grey.min() >= 0 and grey.max() <= 1:
        scaled = grey
    else:
        low, high = np.percentile(grey, WINDOW_PERCENTILES)
        scaled = (grey - low) / (high - low) if high > low else np.zeros_like(grey)
    return np.clip(scaled, 0.0, 1.0).astype(np.float32)


def read_angiogram(path: str | Path) -> Angiogram:
    """Read one single-frame angiogram from PNG, JPEG, TIFF, NIfTI or DICOM.

    The pixels come as (H, W) float32 in 0..1, rows first. 8-bit images are divided by 255. Deeper ones
    (16-bit, or floats outside 0..1) are scaled so that their 0.1 and 99.9 percentiles become 0 and 1, and
    clipped there. Colour becomes luminance (Rec. 601), alpha is ignored, MONOCHROME1 is inverted so that
    contrast agent is dark as in every other file. In NIfTI the second axis is taken as rows.

    In DICOM the spacing is that at the isocentre: Imager Pixel Spacing (0018,1164) divided by
    Distance Source to Detector (0018,1110) over Distance Source to Patient (0018,1111), else Pixel
    Spacing (0028,0030). The view is (0018,1510) and (0018,1511). Other formats say neither.

    Raises:
        FileNotFoundError: no such file.
        ValueError: empty, corrupt, wrongly named, several frames, or pixels that are not finite. The
            message names the file, what was expected and what was found.

    Example:
        >>> angiogram = read_angiogram("angiogram.png")
        >>> angiogram.pixels.shape, angiogram.pixel_spacing_mm
        ((512, 512), None)
    """
    path = Path(path)
    array, reader, found = read_pixels(path)
    spacing: float | None = None
    view: tuple[float, float] | None = None
    modality, full_scale, inverted = "", None, False
    try:
        if found == "DICOM":
            spacing = _isocentre_spacing(reader)
            primary, secondary = _numbers(reader, "0018|1510"), _numbers(reader, "0018|1511")
            view = (primary[0], secondary[0]) if primary and secondary else None
            modality = reader.GetMetaData("0008|0060").strip() if reader.HasMetaDataKey("0008|0060") else ""
            inverted = (
                reader.HasMetaDataKey("0028|0004")
                and reader.GetMetaData("0028|0004").strip() == "MONOCHROME1"
            )
            bits = _numbers(reader, "0028|0101")
            # Eight stored bits in a 16-bit word are still an 8-bit image.
            full_scale = 255.0 if bits and bits[0] == 8 and array.min() >= 0 and array.max() <= 255 else None
        pixels = _to_unit(to_grey(array), array.dtype, full_scale)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return Angiogram(1.0 - pixels if inverted else pixels, spacing, view, modality, path)
