"""Read, check, split and cache data sets as MONAI datalists."""

from monai_lora_sam.data.check_splits import check_splits
from monai_lora_sam.data.class_weights import class_weights
from monai_lora_sam.data.combine import TASKS, combine_datalists
from monai_lora_sam.data.cosmos import prepare_cosmos
from monai_lora_sam.data.datalist import SPLITS, read_datalist, write_datalist
from monai_lora_sam.data.dataset_errors import DatasetError, ErrorList
from monai_lora_sam.data.decathlon import DecathlonTask, prepare_decathlon, read_decathlon
from monai_lora_sam.data.duplicates import ImageSignature, duplicate_groups, image_signature, pixel_hash
from monai_lora_sam.data.feature_cache import FeatureCache, image_key
from monai_lora_sam.data.feature_dataset import FeatureDataset
from monai_lora_sam.data.few_shot import few_shot, folds
from monai_lora_sam.data.first_entries import first_entries
from monai_lora_sam.data.folders import datalist_from_folders
from monai_lora_sam.data.labelled_entries import labelled_entries, modality_of, object_names
from monai_lora_sam.data.labelled_sets import labelled_sets
from monai_lora_sam.data.open_labelled import prepare_labelled
from monai_lora_sam.data.phrase_entries import phrase_entries, phrase_weights, vocabulary_of
from monai_lora_sam.data.prepare_folders import prepare_folders
from monai_lora_sam.data.question_entries import (
    GROUPS,
    IGNORED,
    MARK,
    most_masks,
    named_facts,
    question_entries,
    wordings,
)
from monai_lora_sam.data.reasonseg import prepare_reasonseg
from monai_lora_sam.data.splits import split_by_case, split_for_validation
from monai_lora_sam.data.training_items import PrepareBatchFeatures, training_items
from monai_lora_sam.data.volume_slices import (
    SMALLEST_OBJECT,
    LabelledVolume,
    Progress,
    SliceSettings,
    write_volume_slices,
)

__all__ = [
    "GROUPS",
    "IGNORED",
    "MARK",
    "most_masks",
    "named_facts",
    "prepare_reasonseg",
    "question_entries",
    "wordings",
    "DatasetError",
    "DecathlonTask",
    "ErrorList",
    "FeatureCache",
    "FeatureDataset",
    "ImageSignature",
    "LabelledVolume",
    "PrepareBatchFeatures",
    "Progress",
    "SMALLEST_OBJECT",
    "SPLITS",
    "SliceSettings",
    "TASKS",
    "check_splits",
    "class_weights",
    "combine_datalists",
    "datalist_from_folders",
    "duplicate_groups",
    "few_shot",
    "first_entries",
    "folds",
    "image_key",
    "image_signature",
    "pixel_hash",
    "labelled_entries",
    "labelled_sets",
    "modality_of",
    "object_names",
    "phrase_entries",
    "phrase_weights",
    "prepare_cosmos",
    "prepare_decathlon",
    "prepare_folders",
    "prepare_labelled",
    "read_datalist",
    "read_decathlon",
    "split_by_case",
    "split_for_validation",
    "training_items",
    "vocabulary_of",
    "write_datalist",
    "write_volume_slices",
]
