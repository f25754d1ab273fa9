"""Shared parts of the DICOM writers: the source's header, the new series, the reference to a frame, the file."""

from __future__ import annotations

import copy
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from pydicom import Dataset
from pydicom.multival import MultiValue

from monai_lora_sam import __version__
from monai_lora_sam.coronary.dicom.codes import CodedTerm
from monai_lora_sam.files import atomic_file

MANUFACTURER = "monai-lora-sam"
MODEL_NAME = "monai-lora-sam (research use only)"

#: Attributes of patient and study, copied unchanged.
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
    """Import a module of the extra ``dicom``.

    Raises:
        ImportError: its package is missing; the message says how to install it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise ImportError(
            f"DICOM results need the package {package}, which could not be imported ({error}): "
            'pip install "highdicom>=0.28" "pydicom>=3.0"'
        ) from error


def coded(term: CodedTerm) -> Any:
    """Convert a coded term to highdicom's type."""
    return require("highdicom.sr").CodedConcept(*term)


def name_of(source: Dataset) -> str:
    """Return the file of a data set, or its UID, for error messages."""
    return str(getattr(source, "filename", None) or source.get("SOPInstanceUID", "source image"))


def frame_count(source: Dataset) -> int:
    """Return the number of frames; 1 where the file does not say."""
    return int(source.get("NumberOfFrames") or 1)


def new_series(series_number: int) -> dict[str, Any]:
    """Return highdicom's arguments for an object of this software in a series of its own."""
    uid = require("highdicom").UID
    return {
        "series_instance_uid": uid(),
        "series_number": series_number,
        "sop_instance_uid": uid(),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MODEL_NAME,
        "software_versions": __version__,
        "device_serial_number": "none",
    }


def single_frame_header(source: Dataset, frame_index: int) -> Dataset:
    """Return the source's header as that of one frame, without pixels and private tags, in highdicom's form.

    An XA cine has no coordinates in the patient; highdicom takes only single frames of such images. It also asks
    every multi-frame image for functional groups with a pixel spacing, which XA may lack: the group is empty then.
    Patient and study are left empty, since highdicom refuses values of many archives (a sex of "U", a date with
    dots): :func:`finish` copies them unchanged.

    Args:
        source: the angiogram, with or without pixels.
        frame_index: the frame, counted from 0.

    Raises:
        ValueError: a missing identifier or size, or no such frame.
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
    groups = source.get("PerFrameFunctionalGroupsSequence")
    if groups is not None:
        if frame_index >= len(groups):
            raise ValueError(
                f"{name_of(source)}: expected functional groups of frame {frame_index + 1}, found those of "
                f"{len(groups)} frames"
            )
        header.PerFrameFunctionalGroupsSequence = [source.PerFrameFunctionalGroupsSequence[frame_index]]
    return header


def refer_to_frame(reference: Dataset, source: Dataset, frame_index: int) -> None:
    """Make a reference to an image a reference to one of its frames; a single-frame image needs no number."""
    if frame_count(source) > 1:
        reference.ReferencedFrameNumber = frame_index + 1


def finish(result: Dataset, source: Dataset) -> None:
    """Copy patient and study from the source, in UTF-8; hide the time of processing if the source is anonymous."""
    result.SpecificCharacterSet = "ISO_IR 192"
    for keyword in (*COPIED, *_ANONYMITY):
        if keyword in source:
            result[keyword] = copy.deepcopy(source[keyword])
    for element in result.iterall():
        if element.VR == "PN" and element.value:  # a name remembers its former encoding
            many = isinstance(element.value, MultiValue)
            element.value = [str(name) for name in element.value] if many else str(element.value)
    if source.get("PatientIdentityRemoved") == "YES":
        hide_time(result)


def hide_time(dataset: Dataset) -> None:
    """Replace all dates and times with a value by dummies, in sequences too."""
    for element in dataset.iterall():
        dummy = {"DA": "19000101", "TM": "000000", "DT": "19000101000000"}.get(element.VR)
        if dummy and element.value:
            element.value = dummy


def save(dataset: Dataset, path: str | Path) -> None:
    """Write a data set whole or not at all; the folder is created where missing."""
    with atomic_file(path) as temporary:
        dataset.save_as(temporary, enforce_file_format=True)
