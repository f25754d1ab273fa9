"""Read one picture from a file as grey levels from 0 to 1."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monai_lora_sam.images.dicom_files import naming_file, read_dataset
from monai_lora_sam.images.dicom_pixels import number_of_frames
from monai_lora_sam.images.frames import read_frames
from monai_lora_sam.images.grey_levels import to_unit
from monai_lora_sam.images.image_files import detect_format, read_frame, to_grey


@dataclass(frozen=True)
class GreyImage:
    """Hold one grey picture.

    Attributes:
        pixels: (H, W) float32 in 0..1, rows first.
        modality: DICOM modality ("CT", ...), or "" when the file does not say.
        path: the file.
    """

    pixels: np.ndarray
    modality: str
    path: Path


def read_image(path: str | Path) -> GreyImage:
    """Read one picture from PNG, JPEG, TIFF, NIfTI or DICOM as (H, W) float32 in 0..1, rows first.

    8-bit images are divided by 255. Deeper images (16-bit, or floats outside 0..1) are scaled so that their 0.1
    and 99.9 percentiles become 0 and 1, and clipped there. Colour becomes luminance (Rec. 601); alpha is ignored.
    The second axis of NIfTI counts as rows. MONOCHROME1 of DICOM is inverted.

    Raises:
        FileNotFoundError: no such file.
        ValueError: empty, corrupt, wrongly named, several frames, or pixels that are not finite. The message
            names the file, the expected and the found content.

    Example:
        >>> read_image("slice.png").pixels.shape  # doctest: +SKIP
        (512, 512)
    """
    path = Path(path)
    if detect_format(path) == "DICOM":
        dataset = read_dataset(path)
        with naming_file(path):
            if number_of_frames(dataset) != 1:
                raise ValueError(f"expected a single frame, found {number_of_frames(dataset)} frames")
            pixels = read_frames(dataset, path)[0]
            return GreyImage(pixels, str(dataset.get("Modality") or "").strip(), path)
    array = read_frame(path)
    try:
        pixels = to_unit(to_grey(array), array.dtype == np.uint8)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return GreyImage(pixels, "", path)
