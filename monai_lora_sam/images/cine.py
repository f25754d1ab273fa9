"""Read an X-ray angiogram of one or many frames from DICOM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.uid import UID

from monai_lora_sam.images.angiogram import WINDOW_PERCENTILES, Angiogram, to_unit
from monai_lora_sam.images.dicom_acquisition import PixelSpacing, frame_times_ms, spacings, views
from monai_lora_sam.images.dicom_files import naming, number_of_frames, read_dataset, stored_pixels
from monai_lora_sam.images.image_files import to_grey

#: Modalities that hold angiograms; secondary captures are often OT, or say nothing.
ANGIOGRAPHY_MODALITIES = ("XA", "RF", "OT", "")


class CineFrames:
    """Hold frames as stored and give each as (H, W) float32 in 0..1 when it is asked for.

    `frames[i]` is one frame, `frames[a:b]` and `numpy.asarray(frames)` are (N, H, W). All frames share one
    window, so that brightness can be compared over time.
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


@dataclass(frozen=True, eq=False)
class Cine:
    """Hold a run of frames and what its file says of them.

    Attributes:
        path: where it was read from.
        frames: `CineFrames`: N frames (H, W) float32 in 0..1, rows first, contrast agent dark as displayed.
        views: each frame's (primary, secondary) positioner angle in degrees, LAO and cranial positive, or None.
        spacings: each frame's `PixelSpacing` (mm, source) at the patient, or None.
        frame_times_ms: when each frame was taken, from the first; None when the file does not say.
        modality: "XA", ...; "" when the file does not say.
        sop_class: the kind of DICOM object, in words.
        photometric_interpretation: as stored; MONOCHROME1 is inverted in `frames`.
        bits_stored: bits of a stored pixel.
        pixel_intensity_relationship: LIN, LOG, DISP, ... to the X-ray intensity; "" when the file does not say.
        header: the whole data set without its pixels, private tags and patient included: what SEG and SR refer to.
    """

    path: Path
    frames: CineFrames
    views: tuple[tuple[float, float] | None, ...]
    spacings: tuple[PixelSpacing | None, ...]
    frame_times_ms: tuple[float, ...] | None
    modality: str
    sop_class: str
    photometric_interpretation: str
    bits_stored: int
    pixel_intensity_relationship: str
    header: pydicom.Dataset = field(repr=False)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def frames_per_second(self) -> float | None:
        """Return the mean rate, or None for a single frame or when the file does not say."""
        times = self.frame_times_ms
        return 1000.0 * (len(times) - 1) / times[-1] if times and times[-1] > 0 else None

    def angiogram(self, index: int) -> Angiogram:
        """Return one frame, counted from 0, as `read_angiogram` would give it."""
        spacing = self.spacings[index]
        return Angiogram(
            self.frames[index],
            spacing.mm if spacing else None,
            self.views[index],
            self.modality,
            self.path,
            spacing.description if spacing else "",
        )


def read_cine(path: str | Path, modalities: Sequence[str] | None = ANGIOGRAPHY_MODALITIES) -> Cine:
    """Read a DICOM X-ray angiogram of one or many frames: classic XA, enhanced XA, XRF, secondary capture.

    8-bit pixels are divided by 255; deeper ones are scaled so that the 0.1 and 99.9 percentiles of all frames
    become 0 and 1, and clipped there. MONOCHROME1 is inverted. Windows and lookup tables stored in the file are
    not applied. Missing tags give None; private ones are left alone.

    Args:
        path: the file.
        modalities: those accepted; None for any.

    Raises:
        FileNotFoundError: no such file.
        ValueError: empty, cut off, damaged, without pixels (SR, DICOMDIR), another modality, or compressed in a way
            that nothing installed decodes. The message names the file, what was expected and what was found.

    Example:
        >>> cine = read_cine("study.dcm")  # doctest: +SKIP
        >>> cine.frames.shape, cine.views[0], cine.spacings[0].mm  # doctest: +SKIP
        ((60, 512, 512), (-30.0, 20.0), 0.21)
    """
    path = Path(path)
    dataset = read_dataset(path)
    with naming(path):
        modality = str(dataset.get("Modality") or "").strip()
        sop_class = UID(dataset.get("SOPClassUID") or "").name
        if modality == "SEG" or (modalities is not None and modality not in modalities):
            raise ValueError(
                f"expected an X-ray angiogram (modality XA), found {sop_class} (modality {modality})"
            )
        stored = stored_pixels(dataset, path)
        count = number_of_frames(dataset)
        bits = int(dataset.BitsStored)
        eight_bit = stored.dtype == np.uint8 or (bits == 8 and stored.min() >= 0 and stored.max() < 256)
        photometric = str(dataset.PhotometricInterpretation).strip()
        relationship = str(dataset.get("PixelIntensityRelationship") or "").strip()
        acquisition = (views(dataset, count), spacings(dataset, count), frame_times_ms(dataset, count))
    del dataset.PixelData
    return Cine(
        path,
        CineFrames(stored, eight_bit, photometric == "MONOCHROME1"),
        *acquisition,
        modality,
        sop_class,
        photometric,
        bits,
        relationship,
        dataset,
    )
