"""Convert the frames of a DICOM file to grey levels from 0 to 1."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from monai_lora_sam.images.dicom_files import stored_pixels
from monai_lora_sam.images.grey_levels import WINDOW_PERCENTILES, to_unit
from monai_lora_sam.images.image_files import to_grey


class Frames:
    """Hold frames as stored and convert each to (H, W) float32 in 0..1 on access.

    `frames[i]` is one frame; `frames[a:b]` and `numpy.asarray(frames)` are (N, H, W). All frames share one
    window, so brightness can be compared over time.
    """

    def __init__(self, stored: np.ndarray, eight_bit: bool, inverted: bool) -> None:
        self._stored, self._eight_bit, self._inverted = stored, eight_bit, inverted

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return the number of frames, rows and columns."""
        return self._stored.shape[:3]

    def __len__(self) -> int:
        return len(self._stored)

    @cached_property
    def _window(self) -> tuple[float, float] | None:
        if self._eight_bit:
            return None
        low, high = np.percentile(self._stored, WINDOW_PERCENTILES)
        return float(low), float(high)

    def __getitem__(self, index: int | slice) -> np.ndarray:
        if isinstance(index, slice):
            chosen = [self[number] for number in range(*index.indices(len(self)))]
            return np.stack(chosen) if chosen else np.zeros((0, *self.shape[1:]), np.float32)
        pixels = to_unit(to_grey(self._stored[index]), self._eight_bit, self._window)
        return 1 - pixels if self._inverted else pixels

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or np.float32)


def read_frames(dataset: pydicom.Dataset, path: Path) -> Frames:
    """Decode the pixels of a DICOM data set; invert MONOCHROME1, apply no stored window.

    Raises:
        ValueError: the pixels are missing, cut off, or in a compression without an installed decoder.
    """
    stored = stored_pixels(dataset, path)
    bits = int(dataset.BitsStored)
    eight_bit = stored.dtype == np.uint8 or (bits == 8 and stored.min() >= 0 and stored.max() < 256)
    inverted = str(dataset.PhotometricInterpretation).strip() == "MONOCHROME1"
    return Frames(stored, eight_bit, inverted)
