"""Convert the frames of a DICOM file to grey levels from 0 to 1."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from monai_lora_sam.images.dicom_files import naming_file
from monai_lora_sam.images.dicom_pixels import stored_pixels
from monai_lora_sam.images.dicom_tags import OptionalTags
from monai_lora_sam.images.grey_levels import WINDOW_PERCENTILES, to_unit
from monai_lora_sam.images.image_files import to_grey


class Frames:
    """Hold frames as stored and convert each to (H, W) float32 in 0..1 on access.

    `frames[i]` is one frame; `frames[a:b]` and `numpy.asarray(frames)` are (N, H, W). All frames share one
    window, so brightness can be compared over time.

    Args:
        stored: (N, H, W) or (N, H, W, 3) pixels as stored.
        eight_bit: the values are 0 to 255, of any type.
        inverted: low values are bright.
        padding: lowest and highest stored value of pixels outside the picture: they are left out of the window
            and become 0.
        warnings: doubts about the file, in words.
    """

    def __init__(
        self,
        stored: np.ndarray,
        eight_bit: bool,
        inverted: bool,
        padding: tuple[int, int] | None = None,
        warnings: tuple[str, ...] = (),
    ) -> None:
        self._stored, self._eight_bit, self._inverted, self._padding = stored, eight_bit, inverted, padding
        self.warnings = warnings

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return the number of frames, rows and columns."""
        return self._stored.shape[:3]

    def __len__(self) -> int:
        return len(self._stored)

    def _outside(self, stored: np.ndarray) -> np.ndarray | None:
        if self._padding is None:
            return None
        return (stored >= self._padding[0]) & (stored <= self._padding[1])

    @cached_property
    def _window(self) -> tuple[float, float] | None:
        if self._eight_bit:
            return None
        outside = self._outside(self._stored)
        inside = self._stored if outside is None or outside.all() else self._stored[~outside]
        low, high = np.percentile(inside, WINDOW_PERCENTILES)
        return float(low), float(high)

    def __getitem__(self, index: int | slice) -> np.ndarray:
        if isinstance(index, slice):
            chosen = [self[number] for number in range(*index.indices(len(self)))]
            return np.stack(chosen) if chosen else np.zeros((0, *self.shape[1:]), np.float32)
        pixels = to_unit(to_grey(self._stored[index]), self._eight_bit, self._window)
        pixels = 1 - pixels if self._inverted else pixels
        outside = self._outside(self._stored[index])
        return pixels if outside is None else np.where(outside, np.float32(0), pixels)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or np.float32)


def read_frames(dataset: pydicom.Dataset, path: Path) -> Frames:
    """Decode the pixels of a DICOM data set and show low values bright where the header says so.

    No stored window is applied, and of a lookup table or rescaling only its direction.

    Raises:
        ValueError: the pixels are missing, cut off, or in a compression without an installed decoder.
    """
    pixels = stored_pixels(dataset, path)
    stored, doubts = pixels.array, list(pixels.warnings)
    with naming_file(path):
        bits = OptionalTags(dataset, []).number("BitsStored") or 8 * stored.dtype.itemsize
        eight_bit = bits == 8 and (stored.dtype == np.uint8 or bool(stored.min() >= 0 and stored.max() < 256))
        inverted = stored.ndim == 3 and _shows_low_values_bright(OptionalTags(dataset, doubts))
    return Frames(stored, eight_bit, inverted, pixels.padding, tuple(doubts))


def _shows_low_values_bright(tags: OptionalTags) -> bool:
    """Return whether the greyscale display turns the stored values round (PS3.3 C.11.1, C.11.2, C.11.6)."""
    photometric = tags.text("PhotometricInterpretation").upper()
    inverted = photometric == "MONOCHROME1"
    shape = tags.text("PresentationLUTShape").upper()
    if shape in ("IDENTITY", "INVERSE") and inverted != (shape == "INVERSE"):
        inverted = not inverted
        tags.note(
            f"Photometric Interpretation {photometric} and Presentation LUT Shape {shape} contradict each other; "
            f"the shape was followed{': the picture was inverted' if inverted else ''}."
        )
    # A window is the other choice of the VOI stage, and rises.
    turns = ["WindowCenter" not in tags.dataset and _falls(tags, "VOILUTSequence")]
    # In angiograms of logarithmic or display relation the modality's table is not for display (C.8.7.1.1.2).
    if tags.text("PixelIntensityRelationship").upper() not in ("LOG", "DISP"):
        slope = tags.number("RescaleSlope")
        if slope == 0:
            tags.warn("RescaleSlope", "a number other than 0", "0")
        turns += [_falls(tags, "ModalityLUTSequence"), slope is not None and slope < 0]
    for number, source in zip(turns, ("VOI LUT", "Modality LUT", "Rescale Slope"), strict=False):
        if number:
            inverted = not inverted
            tags.note(
                f"The file's {source} makes high stored values dark; the picture was turned round by it."
            )
    return inverted


def _falls(tags: OptionalTags, sequence: str) -> bool:
    """Return whether the first lookup table of a sequence falls from its first to its last entry."""
    table = tags.item(sequence)
    if table is None:
        return False
    try:
        descriptor, data = table.dataset.LUTDescriptor, table.dataset.LUTData
        if isinstance(data, bytes):
            wide = len(data) >= 2 * (int(descriptor[0]) or 2**16)
            data = np.frombuffer(data, "<u2" if wide else "u1")
        return int(data[0]) > int(data[-1])
    except Exception:  # damaged bytes make pydicom raise errors of any type
        tags.warn(sequence, "a lookup table", "other content")
        return False
