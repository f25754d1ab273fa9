"""Read, check, split and cache data sets as MONAI datalists."""

from monai_lora_sam.data.check_splits import check_splits
from monai_lora_sam.data.class_weights import class_weights
from monai_lora_sam.data.combine import TASKS, combine_datalists
from monai_lora_sam.data.cosmos import prepare_cosmos
from monai_lora_sam.data.datalist import SPLITS, read_datalist, write_datalist
from monai_lora_sam.data.dataset_errors import DatasetError, ErrorList
from monai_lora_sam.data.duplicates import ImageSignature, duplicate_groups, image_signature, pixel_hash
from monai_lora_sam.data.feature_cache import FeatureCache, image_key
from monai_lora_sam.data.feature_dataset import FeatureDataset
from monai_lora_sam.data.first_entries import first_entries
from monai_lora_sam.data.folders import datalist_from_folders
from monai_lora_sam.data.splits import split_by_case
from monai_lora_sam.data.training_items import PrepareBatchFeatures, training_items

__all__ = [
    "DatasetError",
    "ErrorList",
    "FeatureCache",
    "FeatureDataset",
    "ImageSignature",
    "PrepareBatchFeatures",
    "SPLITS",
    "TASKS",
    "check_splits",
    "class_weights",
    "combine_datalists",
    "datalist_from_folders",
    "duplicate_groups",
    "first_entries",
    "image_key",
    "image_signature",
    "pixel_hash",
    "prepare_cosmos",
    "read_datalist",
    "split_by_case",
    "training_items",
    "write_datalist",
]
