"""Read one angiogram from a file: pixels with rows first, spacing at the patient and view angles."""

from __future__ import annotations

from pathlib import Path

from monai_lora_sam.coronary.images.angiogram import Angiogram
from monai_lora_sam.coronary.images.cine import read_cine
from monai_lora_sam.images import detect_format, read_image


def read_angiogram(path: str | Path) -> Angiogram:
    """Read one single-frame angiogram from PNG, JPEG, TIFF, NIfTI or DICOM.

    The pixels come as (H, W) float32 in 0..1, rows first. 8-bit images are divided by 255. Deeper ones
    (16-bit, or floats outside 0..1) are scaled so that their 0.1 and 99.9 percentiles become 0 and 1, and
    clipped there. Colour becomes luminance (Rec. 601), alpha is ignored. In NIfTI the second axis is taken as
    rows. DICOM, of any modality, is read by `read_cine`, which says how; other formats know no spacing and no view.

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
