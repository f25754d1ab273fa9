"""Read one angiogram with its spacing at the patient and view angles."""

from __future__ import annotations

from pathlib import Path

from monai_lora_sam.coronary.images.angiogram import Angiogram
from monai_lora_sam.coronary.images.cine import read_cine
from monai_lora_sam.images import detect_format, read_image


def read_angiogram(path: str | Path) -> Angiogram:
    """Read one single-frame angiogram from PNG, JPEG, TIFF, NIfTI or DICOM.

    Pixels are scaled to (H, W) float32 in 0..1 by the rules of `monai_lora_sam.images.read_image`. `read_cine` reads
    DICOM of any modality; the other formats hold no spacing and no view.

    Raises:
        FileNotFoundError: no such file.
        ValueError: empty, corrupt, wrongly named, several frames, or pixels that are not finite. The
            message names the file, the expected and the found content.

    Example:
        >>> angiogram = read_angiogram("angiogram.png")
        >>> angiogram.pixels.shape, angiogram.pixel_spacing_mm
        ((512, 512), None)
    """
    path = Path(path)
    if detect_format(path) == "DICOM":
        cine = read_cine(path, modalities=None)
        if len(cine) != 1:
            rows, columns = cine.frames.shape[1:]
            raise ValueError(
                f"{path}: expected a single frame, found {len(cine)} frames of {rows}x{columns} pixels "
                "(rows x columns); read_cine reads them all"
            )
        return cine.angiogram(0)
    return Angiogram(read_image(path).pixels, None, None, "", path)
