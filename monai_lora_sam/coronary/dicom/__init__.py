"""Rank the frames of DICOM cines, write SEG and SR, and anonymise.

Packages of the extra ``dicom`` are imported on first use. `monai_lora_sam.coronary.images` reads DICOM.
"""

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
