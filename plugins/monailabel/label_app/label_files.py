"""Write labels in the form that a client asks for, and read those that were saved."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image

from label_app.errors import Refused
from monai_lora_sam.images import Volume, write_label_volume

#: Endings of results.
PICTURES, VOLUMES = (".png",), (".nii.gz", ".nii", ".nrrd")


def write_label(labels: np.ndarray, source: Path | Volume, extension: str | None = None) -> str:
    """Write a label into a new temporary file and return its path.

    Args:
        labels: (H, W) of a picture or (H, W, D) of a volume, integers from 0 to 255.
        source: the picture's file, or the volume.
        extension: ".png" (pictures alone), ".nii.gz", ".nii" or ".nrrd"; by default ".png" of a picture and ".nii.gz".
    """
    flat = labels.ndim == 2
    extension = extension or (PICTURES if flat else VOLUMES)[0]
    allowed = (*PICTURES, *VOLUMES) if flat else VOLUMES
    if extension not in allowed:
        raise Refused(f"result_extension: expected one of {allowed}, found {extension!r:.20}")
    with tempfile.NamedTemporaryFile(suffix=extension, delete=False) as file:
        path = Path(file.name)
    if extension == ".png":
        path.write_bytes(png_of(labels))
    elif flat:
        sitk.WriteImage(sitk.GetImageFromArray(labels.astype(np.uint8)[None]), str(path))
    elif extension == ".nrrd" or not str(path).endswith(".gz"):
        with tempfile.TemporaryDirectory() as folder:
            compressed = Path(folder) / "label.nii.gz"
            write_label_volume(compressed, labels.astype(np.int32), source)
            sitk.WriteImage(sitk.ReadImage(str(compressed)), str(path))
    else:
        write_label_volume(path, labels.astype(np.int32), source)
    return str(path)


def png_of(labels: np.ndarray) -> bytes:
    """Return (H, W) grey levels 0..255 as a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(labels, dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def read_png(content: bytes, size: tuple[int, int], colours: bool = False) -> np.ndarray:
    """Read a label (H, W) uint8 from a PNG.

    Args:
        content: of the file.
        size: height and width that it must have.
        colours: take the luminance of colours, as browsers write masks; otherwise they are refused.

    Raises:
        Refused: no PNG, colours, or another size.
    """
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            if (picture.height, picture.width) != size:
                raise Refused(
                    f"expected a label of {size[1]} x {size[0]} pixels, found {picture.width} x {picture.height}"
                )
            if colours:
                return np.asarray(picture.convert("RGB").convert("L"))
            if picture.mode not in ("L", "P", "1"):
                raise Refused(f"expected a label in grey, found the mode {picture.mode}")
            return np.asarray(picture).astype(np.uint8)
    except (OSError, SyntaxError) as error:
        raise Refused(f"expected a label as PNG, found another file ({error})") from error
