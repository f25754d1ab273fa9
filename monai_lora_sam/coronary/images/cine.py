"""Read X-ray angiograms of one or many frames from DICOM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom.uid import UID

from monai_lora_sam.coronary.images.angiogram import Angiogram
from monai_lora_sam.coronary.images.dicom_acquisition import PixelSpacing, frame_times_ms, spacings, views
from monai_lora_sam.images import Frames, OptionalTags, naming_file, read_dataset, read_frames

#: Modalities that hold angiograms; secondary captures are often OT, or say nothing.
ANGIOGRAPHY_MODALITIES = ("XA", "RF", "OT", "")


#: Parts of the terms for the body parts (PS3.16 Annex L) that coronary angiograms show.
BODY_PARTS = ("HEART", "CHEST", "CORONARY", "CARDI", "THORAX", "AORTA")


@dataclass(frozen=True, eq=False)
class Cine:
    """Hold the frames of a cine with their acquisition data from the file.

    Attributes:
        path: the file.
        frames: N frames (H, W) float32 in 0..1, rows first, contrast agent dark as displayed.
        views: (primary, secondary) positioner angle of each frame in degrees, LAO and cranial positive; None where
            unknown.
        spacings: `PixelSpacing` (mm, source) of each frame at the patient; None where unknown.
        frame_times_ms: time of each frame in ms from the first; None where unknown.
        modality: DICOM modality ("XA", ...); "" where unknown.
        sop_class: name of the SOP class.
        photometric_interpretation: as stored; MONOCHROME1 is inverted in `frames`.
        bits_stored: bits of a stored pixel.
        pixel_intensity_relationship: LIN, LOG, DISP, ... to the X-ray intensity; "" where unknown.
        header: the whole data set without its pixels, private tags and patient included; SEG and SR refer to it. Its
            Number of Frames is that of the frames which are there.
        warnings: doubts about the file and values that were taken as unknown, in words.
    """

    path: Path
    frames: Frames
    views: tuple[tuple[float, float] | None, ...]
    spacings: tuple[PixelSpacing | None, ...]
    frame_times_ms: tuple[float, ...] | None
    modality: str
    sop_class: str
    photometric_interpretation: str
    bits_stored: int
    pixel_intensity_relationship: str
    header: pydicom.Dataset = field(repr=False)
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def frames_per_second(self) -> float | None:
        """Return the mean frame rate, or None for a single frame or unknown times."""
        times = self.frame_times_ms
        return 1000.0 * (len(times) - 1) / times[-1] if times and times[-1] > 0 else None

    def angiogram(self, index: int) -> Angiogram:
        """Return one frame, counted from 0, in the form of `read_angiogram`."""
        spacing = self.spacings[index]
        return Angiogram(
            self.frames[index],
            spacing.mm if spacing else None,
            self.views[index],
            self.modality,
            self.path,
            spacing.description if spacing else "",
            self.warnings,
        )


def read_cine(path: str | Path, modalities: Sequence[str] | None = ANGIOGRAPHY_MODALITIES) -> Cine:
    """Read a DICOM X-ray angiogram of one or many frames: classic XA, enhanced XA, XRF, secondary capture.

    8-bit pixels are divided by 255; deeper pixels are scaled so that the 0.1 and 99.9 percentiles of all frames
    become 0 and 1, and clipped there; padding is left out and becomes 0. MONOCHROME1 and an inverse Presentation LUT
    Shape are inverted. Windows and lookup tables stored in the file are not applied. Missing tags give None, and so do
    faulty ones, with a warning; private tags are not read.

    Args:
        path: the file.
        modalities: accepted modalities; None accepts any.

    Raises:
        FileNotFoundError: no such file.
        ValueError: empty, cut off, damaged, too large, without pixels (SR, DICOMDIR), another modality, or a
            compression without an installed decoder. The message names the file, the expected and the found content.

    Example:
        >>> cine = read_cine("study.dcm")  # doctest: +SKIP
        >>> cine.frames.shape, cine.views[0], cine.spacings[0].mm  # doctest: +SKIP
        ((60, 512, 512), (-30.0, 20.0), 0.21)
    """
    path = Path(path)
    dataset = read_dataset(path)
    with naming_file(path):
        found: list[str] = []
        tags = OptionalTags(dataset, found)
        modality = tags.text("Modality")
        sop_class = UID(tags.text("SOPClassUID")).name
        if modality == "SEG" or (modalities is not None and modality not in modalities):
            raise ValueError(
                f"expected an X-ray angiogram (modality XA), found {sop_class} (modality {modality})"
            )
        part = tags.text("BodyPartExamined").upper()
        if part and not any(word in part for word in BODY_PARTS):
            found.append(
                f"DICOM BodyPartExamined (0018,0015): expected the heart or the chest, found {part!r}."
            )
        frames = read_frames(dataset, path)
        count = len(frames)
        found.extend(frames.warnings)
        bits = int(tags.number("BitsStored") or dataset.BitsAllocated)
        photometric = tags.text("PhotometricInterpretation") or "MONOCHROME2"
        relationship = tags.text("PixelIntensityRelationship")
        acquisition = (views(tags, count), spacings(tags, count), frame_times_ms(tags, count))
    del dataset.PixelData
    return Cine(
        path,
        frames,
        *acquisition,
        modality,
        sop_class,
        photometric,
        bits,
        relationship,
        dataset,
        tuple(found),
    )
