"""Data sets as MONAI datalists, and splits by case."""

from monai_lora_sam.data.arcade import prepare_arcade, stenosis_lesions
from monai_lora_sam.data.arcade_annotations import AnnotatedImage, Polygon, read_annotations
from monai_lora_sam.data.class_weights import class_counts, class_weights
from monai_lora_sam.data.copies import copy_groups, image_signature, pixel_hash
from monai_lora_sam.data.datalist import read_datalist, write_datalist
from monai_lora_sam.data.feature_cache import FeatureCache, image_key
from monai_lora_sam.data.feature_dataset import FeatureDataset
from monai_lora_sam.data.folders import datalist_from_folders
from monai_lora_sam.data.problems import DatasetProblems
from monai_lora_sam.data.splits import group_cases, split_by_case
from monai_lora_sam.data.tasks import TASK_CLASS_NAMES, combine_datalists, read_task
from monai_lora_sam.data.training_items import PrepareBatchFeatures, training_items

__all__ = [
    "AnnotatedImage",
    "DatasetProblems",
    "FeatureCache",
    "FeatureDataset",
    "PrepareBatchFeatures",
    "Polygon",
    "TASK_CLASS_NAMES",
    "class_counts",
    "class_weights",
    "combine_datalists",
    "datalist_from_folders",
    "copy_groups",
    "group_cases",
    "image_key",
    "image_signature",
    "pixel_hash",
    "prepare_arcade",
    "read_annotations",
    "read_datalist",
    "read_task",
    "split_by_case",
    "stenosis_lesions",
    "training_items",
    "write_datalist",
]
