"""Tell what else lies in a DICOM study from its angiograms."""

from __future__ import annotations

import warnings
from pathlib import Path

import pydicom
from pydicom.uid import UID

from monai_lora_sam.coronary.images import ANGIOGRAPHY_MODALITIES
from monai_lora_sam.images import DICOM_DIRECTORY


def non_angiogram_class(path: str | Path) -> str | None:
    """Say what a DICOM file is, if by its header it is whole but no angiogram; None for all else.

    Dose reports, presentation states, segmentations, directories and pictures of other modalities are part of a
    study and nothing is wrong with them. A file that cannot be read, or names itself an angiogram but holds none, is
    not for this function to judge: `read_cine` says what is the matter with it.

    Example:
        >>> non_angiogram_class("dose.dcm")  # doctest: +SKIP
        'X-Ray Radiation Dose SR Storage, modality SR'
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        modality = str(dataset.get("Modality") or "").strip()
        meta = getattr(dataset, "file_meta", pydicom.Dataset())
        kind = UID(meta.get("MediaStorageSOPClassUID") or dataset.get("SOPClassUID") or "")
    except Exception:  # pydicom raises whatever damaged bytes lead it to
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
