"""Read the single frame of an image file as stored."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import nibabel
import numpy as np
import SimpleITK as sitk
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import SpatialImage
from PIL import Image

from monai_lora_sam.images.dicom_files import naming_file, read_dataset
from monai_lora_sam.images.dicom_pixels import number_of_frames, stored_pixels

# The first extension is the usual one. DICOM files often have none.
EXTENSIONS = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "TIFF": (".tif", ".tiff"),
    "NIfTI": (".nii", ".nii.gz"),
    "DICOM": (".dcm", ".dicom", ".ima", ""),
}


def is_image_name(path: Path) -> bool:
    """Say whether a file's name has an extension that `read_image` reads."""
    return _extension(path) in {name for names in EXTENSIONS.values() for name in names if name}


def _extension(path: Path) -> str:
    name = path.name.lower()
    if name.endswith(".nii.gz"):
        return ".nii.gz"
    suffix = path.suffix.lower()
    # DICOM files are often named by a bare UID, whose last component is no extension.
    return "" if suffix[1:].isdigit() else suffix


def detect_format(path: Path) -> str:
    """Return the format by content; refuse a file whose extension says otherwise."""
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise FileNotFoundError(f"{path}: expected an image file, found {found}")
    with path.open("rb") as file:
        head = file.read(352)
    extension = _extension(path)
    if not head:
        raise ValueError(f"{path}: expected an image, found an empty file")
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        found = "PNG"
    elif head.startswith(b"\xff\xd8\xff"):
        found = "JPEG"
    elif head[128:132] == b"DICM":
        found = "DICOM"
    elif head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        found = "TIFF"
    elif head[344:348] == b"n+1\x00" or head[4:8] == b"n+2\x00" or extension == ".nii.gz":
        found = "NIfTI"
    elif extension in EXTENSIONS["DICOM"]:
        found = "DICOM"  # Old files lack the preamble; the reader decides.
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


def _require_one_frame(frames: int, height: int, width: int) -> None:
    if frames != 1:
        raise ValueError(
            f"expected a single frame, found {frames} frames of {height}x{width} pixels (rows x columns); "
            "save the frame to analyse as its own file"
        )


def _read_pillow(path: Path, found: str) -> np.ndarray:
    # Pillow, since it raises on truncated JPEG, which SimpleITK fills with grey.
    with Image.open(path, formats=[found]) as image:
        _require_one_frame(getattr(image, "n_frames", 1), image.height, image.width)
        # The raw mode of the one tile; Pillow would drop the lower eight bits without a word.
        if found == "PNG" and str(image.tile[0].args).endswith("16B") and image.mode != "I;16":
            raise ValueError("expected 8-bit colour or grey of 8 or 16 bits, found 16-bit colour")
        image.load()
        whole = {"1": "L", "P": "RGB", "PA": "RGB", "LA": "L", "RGBA": "RGB", "CMYK": "RGB", "YCbCr": "RGB"}
        return np.asarray(image.convert(whole.get(image.mode, image.mode)))


def _read_nifti(path: Path, _: str) -> np.ndarray:
    # nibabel, since SimpleITK turns NaN into 0 and fills truncated files with 0.
    image = cast(SpatialImage, nibabel.load(path))
    shape = image.shape
    if len(shape) < 2:
        raise ValueError(f"expected an image of two dimensions, found the shape {shape}")
    _require_one_frame(int(np.prod(shape[2:])), shape[1], shape[0])
    array = np.asanyarray(image.dataobj).reshape(shape[:2]).T
    if not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
        raise ValueError(f"expected grey pixels, found {array.dtype}")
    return array


def _read_tiff(path: Path, _: str) -> np.ndarray:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("TIFFImageIO")
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    width, height, *depth = reader.GetSize()
    _require_one_frame(int(np.prod(depth)), height, width)
    components = reader.GetNumberOfComponents()
    array = sitk.GetArrayFromImage(reader.Execute())
    return array.reshape((height, width) if components == 1 else (height, width, components))


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

    Alpha is left out; palettes become their colours, and one bit becomes 0 and 255. The second axis of NIfTI
    counts as rows.

    Raises:
        FileNotFoundError: no such file.
        ValueError: empty, corrupt, wrongly named, or more than one frame. The message names the file.
    """
    path = Path(path)
    found = detect_format(path)
    try:
        return READERS[found](path, found)
    except ValueError as error:
        if str(error).startswith(f"{path}: "):
            raise
        raise ValueError(f"{path}: {error}") from error
    except (RuntimeError, OSError, EOFError, SyntaxError, ImageFileError) as error:
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
