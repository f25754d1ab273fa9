"""DICOM: angiograms in, results out. The packages of the extra ``dicom`` are imported when they are needed.

Reading stands in `images`, since the loading transforms need it too; it is offered here as well."""

from monai_lora_sam.coronary.dicom.anonymise import anonymise, anonymous_name
from monai_lora_sam.coronary.dicom.frames import FrameScore, rank_frames
from monai_lora_sam.coronary.dicom.object_class import non_angiogram_class
from monai_lora_sam.coronary.dicom.segmentation import write_segmentation
from monai_lora_sam.coronary.dicom.structured_report import write_structured_report

__all__ = [
    "FrameScore",
    "anonymise",
    "anonymous_name",
    "non_angiogram_class",
    "rank_frames",
    "write_segmentation",
    "write_structured_report",
]
