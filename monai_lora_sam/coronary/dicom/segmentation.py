"""Write vessels and named segments as a DICOM segmentation (SEG)."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
from pydicom import Dataset

from monai_lora_sam import __version__
from monai_lora_sam.coronary.anatomy import syntax_from_arcade_id
from monai_lora_sam.coronary.dicom.codes import CORONARY_ARTERY, CodedTerm, SegmentCode, segment_code
from monai_lora_sam.coronary.dicom.writing import (
    MANUFACTURER,
    coded,
    finish,
    name_of,
    new_series,
    refer_to_frame,
    require,
    save,
    single_frame_header,
)

_ANATOMICAL_STRUCTURE = CodedTerm("91723000", "SCT", "Anatomical Structure")
_ARTIFICIAL_INTELLIGENCE = CodedTerm("123110", "DCM", "Artificial Intelligence")


def write_segmentation(
    path: str | Path,
    source: Dataset,
    frame_index: int,
    vessels: np.ndarray,
    segments: np.ndarray | None = None,
    series_number: int = 901,
) -> Dataset:
    """Write the masks of one frame as a DICOM segmentation of that frame (PS3.3 A.51, type BINARY).

    Segment 1 is the vessel tree; each coronary segment that occurs follows, by rising ARCADE id, coded by CID 3014
    (:mod:`monai_lora_sam.coronary.dicom.codes`) and labelled "SYNTAX 6, CASS 12". The patient, the study and the
    frame of reference are the source's own, each only where the source has it. A projection's pixel spacing stays in
    the source: GDCM and highdicom take a spacing for that of a plane in the patient.

    Args:
        path: file to write.
        source: the angiogram's data set, single-frame or cine, with or without its pixels.
        frame_index: the segmented frame, counted from 0.
        vessels: (H, W) bool.
        segments: (H, W) integer ARCADE ids, 0 for no segment; None where segments were not named.
        series_number: number of the new series.

    Returns:
        The written data set, for :func:`~monai_lora_sam.coronary.dicom.write_structured_report`.

    Raises:
        ImportError: highdicom is missing.
        ValueError: a mask of another size than the source or of the wrong type, an unknown id, or a source without
            its identifiers.

    Example:
        >>> write_segmentation("seg.dcm", pydicom.dcmread("cine.dcm"), 17, vessels)  # doctest: +SKIP
    """
    seg = require("highdicom.seg")
    highdicom = require("highdicom")
    header = single_frame_header(source, frame_index)
    stack, labels = _segment_stack(source, vessels, segments)
    codes = [
        (CORONARY_ARTERY, "Coronary arteries"),
        *((code.term, code.label) for code in map(_code, labels)),
    ]
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=MANUFACTURER, family=coded(_ARTIFICIAL_INTELLIGENCE), version=__version__
    )
    descriptions = [
        seg.SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=coded(_ANATOMICAL_STRUCTURE),
            segmented_property_type=coded(term),
            algorithm_type=seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
        )
        for number, (term, label) in enumerate(codes, start=1)
    ]
    result = seg.Segmentation(
        source_images=[header],
        pixel_array=stack[None],
        segmentation_type=seg.SegmentationTypeValues.BINARY,
        segment_descriptions=descriptions,
        **new_series(series_number),
        content_label="CORONARIES",
        content_description="Coronary arteries in one frame of an angiogram",
        series_description="Coronary segmentation (research)",
    )
    shared = result.SharedFunctionalGroupsSequence[0]
    if "PlaneOrientationSequence" not in shared:
        # A projection has no plane in the patient; readers that find a pixel spacing look for one.
        shared.pop("PixelMeasuresSequence", None)
    # highdicom shares this item with the Common Instance Reference, where a frame number has no place.
    result.SourceImageSequence = copy.deepcopy(result.SourceImageSequence)
    frames = [frame.DerivationImageSequence[0] for frame in result.PerFrameFunctionalGroupsSequence]
    for holder in (result, *frames):
        for reference in holder.SourceImageSequence:
            refer_to_frame(reference, source, frame_index)
    result.PatientOrientation = source.get("PatientOrientation")  # to be there, known or not
    finish(result, source)
    save(result, path)
    return result


def _segment_stack(
    source: Dataset, vessels: np.ndarray, segments: np.ndarray | None
) -> tuple[np.ndarray, list[int]]:
    """Return the masks (H, W, 1 + segments) uint8 and the ARCADE ids of all but the first."""
    size = (int(source.Rows), int(source.Columns))
    for name, mask in (("vessels", vessels), ("segments", segments)):
        if mask is not None and mask.shape != size:
            raise ValueError(f"{name_of(source)}: expected {name} of shape {size}, found {mask.shape}")
    if vessels.dtype != np.bool_:
        raise ValueError(f"{name_of(source)}: expected vessels as bool, found {vessels.dtype}")
    if segments is None:
        return vessels[..., None].astype(np.uint8), []
    if not np.issubdtype(segments.dtype, np.integer):
        raise ValueError(f"{name_of(source)}: expected segments as integer ids, found {segments.dtype}")
    labels = [int(label) for label in np.unique(segments) if label != 0]
    for label in labels:
        _code(label)  # an unknown id is an error before anything is written
    masks = [vessels, *(segments == label for label in labels)]
    return np.stack(masks, axis=-1).astype(np.uint8), labels


def _code(label: int) -> SegmentCode:
    return segment_code(syntax_from_arcade_id(label))
