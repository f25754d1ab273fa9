"""Data sets as MONAI datalists, and splits by case."""

from monai_lora_sam.data.arcade import prepare_arcade, stenosis_lesions
from monai_lora_sam.data.arcade_annotations import AnnotatedImage, Polygon, read_annotations
from monai_lora_sam.data.copies import copy_groups, image_signature, pixel_hash
from monai_lora_sam.data.datalist import read_datalist, write_datalist
from monai_lora_sam.data.folders import datalist_from_folders
from monai_lora_sam.data.problems import DatasetProblems
from monai_lora_sam.data.splits import group_cases, split_by_case

__all__ = [
    "AnnotatedImage",
    "DatasetProblems",
    "Polygon",
    "datalist_from_folders",
    "copy_groups",
    "group_cases",
    "image_signature",
    "pixel_hash",
    "prepare_arcade",
    "read_annotations",
    "read_datalist",
    "split_by_case",
    "stenosis_lesions",
    "write_datalist",
]
