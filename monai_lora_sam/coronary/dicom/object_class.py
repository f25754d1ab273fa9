"""Recognise DICOM objects that are no angiograms."""

from __future__ import annotations

from pathlib import Path

import pydicom
from pydicom.uid import UID

from monai_lora_sam.coronary.images import ANGIOGRAPHY_MODALITIES
from monai_lora_sam.images import DICOM_DIRECTORY, read_header


def non_angiogram_class(path: str | Path) -> str | None:
    """Return class and modality of a DICOM object that is no angiogram by its header; else None.

    Dose reports, presentation states, segmentations, directories and pictures of other modalities are sound parts of
    a study. An unreadable file, and a file that calls itself an angiogram but holds none, give None: `read_cine`
    reports their errors.

    Example:
        >>> non_angiogram_class("dose.dcm")  # doctest: +SKIP
        'X-Ray Radiation Dose SR Storage, modality SR'
    """
    try:
        dataset = read_header(path)
        modality = str(dataset.get("Modality") or "").strip()
        meta = getattr(dataset, "file_meta", pydicom.Dataset())
        kind = UID(meta.get("MediaStorageSOPClassUID") or dataset.get("SOPClassUID") or "")
    except Exception:  # no DICOM, or damaged bytes make pydicom raise errors of any type
        return None
    if kind == DICOM_DIRECTORY:
        return "DICOMDIR"
    if not kind:
        return None
    # A public class has a name instead of its number; only images have pixels.
    pictures = kind.name == str(kind) or "Image Storage" in kind.name
    if pictures and modality in ANGIOGRAPHY_MODALITIES:
        return None
    return f"{kind.name}, modality {modality or 'unknown'}"
