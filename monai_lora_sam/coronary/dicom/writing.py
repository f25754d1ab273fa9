"""What the writers of DICOM results share: the source's header, the reference to its frame, the file."""

from __future__ import annotations

import copy
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from pydicom import Dataset
from pydicom.multival import MultiValue

from monai_lora_sam.coronary.dicom.codes import CodedTerm
from monai_lora_sam.files import atomic_file

MANUFACTURER = "monai-lora-sam"
MODEL_NAME = "monai-lora-sam (research use only)"

#: Patient and study, taken over as they stand.
COPIED = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
_ANONYMITY = (
    *("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence"),
    "LongitudinalTemporalInformationModified",
)
_REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Rows", "Columns")


def require(module: str) -> ModuleType:
    """Import a module of the extra ``dicom``, or say how to install it.

    Raises:
        ImportError: if its package is missing.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise ImportError(
            f"DICOM results need the package {package}, which could not be imported ({error}): "
            'pip install "monai-lora-sam[dicom]"'
        ) from error


def coded(term: CodedTerm) -> Any:
    """Return a coded term as highdicom's own."""
    return require("highdicom.sr").CodedConcept(*term)


def name_of(source: Dataset) -> str:
    """Return what an error calls a data set: its file, or its UID."""
    return str(getattr(source, "filename", None) or source.get("SOPInstanceUID", "source image"))


def frame_count(source: Dataset) -> int:
    """Return the number of frames; a file that does not say has one."""
    return int(source.get("NumberOfFrames") or 1)


def single_frame_header(source: Dataset, frame_index: int) -> Dataset:
    """Return the source's header as that of one frame, without pixels and private tags, in the form highdicom wants.

    An XA cine has no coordinates in the patient, and for such images highdicom takes one frame alone. It also asks
    every multi-frame image for functional groups with a pixel spacing, which XA need not have: the group is empty
    then. Patient and study are left empty, since highdicom refuses what many archives hold (a sex of "U", a date
    with dots): :func:`finish` takes them over unchanged.

    Args:
        source: the angiogram, with or without pixels.
        frame_index: counted from 0.

    Raises:
        ValueError: if an identifier or the size is missing, or there is no such frame.
    """
    missing = [keyword for keyword in _REQUIRED if source.get(keyword) in (None, "")]
    if missing:
        raise ValueError(f"{name_of(source)}: expected a DICOM image, found none of {', '.join(missing)}")
    if not 0 <= frame_index < frame_count(source):
        raise ValueError(
            f"{name_of(source)}: expected a frame from 0 to {frame_count(source) - 1}, found {frame_index}"
        )
    header = Dataset()
    for tag in source.keys():  # noqa: SIM118 - elements are converted only when they are asked for
        if not tag.is_private and tag.group not in (0x5400, 0x7FE0) and not 0x6000 <= tag.group <= 0x60FF:
            header[tag] = copy.copy(source[tag])  # assigning to an element changes it in every data set
    for keyword in COPIED:
        setattr(header, keyword, None)
    header.pop("SpecificCharacterSet", None)
    header.NumberOfFrames = 1
    shared = Dataset()
    if "SharedFunctionalGroupsSequence" in header and source.SharedFunctionalGroupsSequence:
        shared.update(source.SharedFunctionalGroupsSequence[0])
    if "PixelMeasuresSequence" not in shared:
        shared.PixelMeasuresSequence = [Dataset()]
        if source.get("PixelSpacing"):
            shared.PixelMeasuresSequence[0].PixelSpacing = source.PixelSpacing
    header.SharedFunctionalGroupsSequence = [shared]
    if "PerFrameFunctionalGroupsSequence" in header:
        header.PerFrameFunctionalGroupsSequence = [source.PerFrameFunctionalGroupsSequence[frame_index]]
    return header


def refer_to_frame(reference: Dataset, source: Dataset, frame_index: int) -> None:
    """Make a reference to an image one to a single frame of it; one frame alone needs no number."""
    if frame_count(source) > 1:
        reference.ReferencedFrameNumber = frame_index + 1


def finish(result: Dataset, source: Dataset) -> None:
    """Take over patient and study from the source, in UTF-8, and hide the time of processing if it is anonymous."""
    result.SpecificCharacterSet = "ISO_IR 192"
    for keyword in (*COPIED, *_ANONYMITY):
        if keyword in source:
            result[keyword] = copy.deepcopy(source[keyword])
    for element in result.iterall():
        if element.VR == "PN" and element.value:  # a name remembers what it was encoded in before
            many = isinstance(element.value, MultiValue)
            element.value = [str(name) for name in element.value] if many else str(element.value)
    if source.get("PatientIdentityRemoved") == "YES":
        hide_time(result)


def hide_time(dataset: Dataset) -> None:
    """Replace all dates and times that have a value by dummies, in sequences too."""
    for element in dataset.iterall():
        dummy = {"DA": "19000101", "TM": "000000", "DT": "19000101000000"}.get(element.VR)
        if dummy and element.value:
            element.value = dummy


def save(dataset: Dataset, path: str | Path) -> None:
    """Write a data set under a temporary name beside the file, then rename it; the folder is made where missing."""
    with atomic_file(path) as temporary:
        dataset.save_as(temporary, enforce_file_format=True)
