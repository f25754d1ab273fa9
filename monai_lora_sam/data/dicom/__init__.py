"""DICOM: angiograms in, results out. The packages of the extra ``dicom`` are imported when they are needed.

Reading stands in `images`, since the loading transforms need it too; it is offered here as well.
"""

from monai_lora_sam.data.dicom.anonymise import anonymise, anonymous_name
from monai_lora_sam.data.dicom.frames import FrameScore, rank_frames
from monai_lora_sam.data.dicom.kinds import other_kind
from monai_lora_sam.data.dicom.segmentation import write_segmentation
from monai_lora_sam.data.dicom.structured_report import write_structured_report
from monai_lora_sam.images import SPACING_SOURCES, Cine, PixelSpacing, read_cine

__all__ = [
    "SPACING_SOURCES",
    "Cine",
    "FrameScore",
    "PixelSpacing",
    "anonymise",
    "anonymous_name",
    "other_kind",
    "rank_frames",
    "read_cine",
    "write_segmentation",
    "write_structured_report",
]
