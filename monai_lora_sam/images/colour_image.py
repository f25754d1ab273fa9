"""Read one picture from a file with its colours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monai_lora_sam.images.grey_levels import to_unit
from monai_lora_sam.images.image_files import detect_format, read_frame, to_grey
from monai_lora_sam.images.read_image import read_image


@dataclass(frozen=True)
class ColourImage:
    """Hold one picture in red, green and blue.

    Attributes:
        pixels: (H, W, 3) float32 in 0..1, rows first; three equal channels where the file is grey.
        modality: DICOM modality ("CT", ...), or "" when the file does not say.
        path: the file.
    """

    pixels: np.ndarray
    modality: str
    path: Path

    @property
    def grey(self) -> np.ndarray:
        """The luminance (H, W), 0..1 (Rec. 601)."""
        return to_grey(self.pixels)


def read_colour_image(path: str | Path) -> ColourImage:
    """Read one picture from PNG, JPEG, TIFF, NIfTI or DICOM as (H, W, 3) float32 in 0..1, rows first.

    Intensities are scaled as by :func:`read_image`, all channels alike. DICOM is read in grey.

    Raises:
        FileNotFoundError, ValueError: see :func:`read_image`.

    Example:
        >>> read_colour_image("skin.jpg").pixels.shape  # doctest: +SKIP
        (480, 640, 3)
    """
    path = Path(path)
    if detect_format(path) == "DICOM":
        image = read_image(path)
        return ColourImage(np.repeat(image.pixels[..., None], 3, axis=2), image.modality, path)
    array = read_frame(path)
    try:
        if array.ndim == 2 or array.shape[2] not in (3, 4):
            pixels = to_unit(to_grey(array), array.dtype == np.uint8)[..., None]
        else:
            pixels = to_unit(array[..., :3], array.dtype == np.uint8)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return ColourImage(np.broadcast_to(pixels, (*pixels.shape[:2], 3)).copy(), "", path)
