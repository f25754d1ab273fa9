"""MONAI transforms for angiograms, view angles and lesions."""

from monai_lora_sam.coronary.transforms.angiogram_augmentation import angiogram_augmentation
from monai_lora_sam.coronary.transforms.angiogram_flip import AngiogramFlipd, flip_view
from monai_lora_sam.coronary.transforms.check_lesions import CheckLesionsd
from monai_lora_sam.coronary.transforms.decode_lesions import DecodeLesionsd
from monai_lora_sam.coronary.transforms.lesion_targets import LesionTargetsd
from monai_lora_sam.coronary.transforms.load_angiogram import LoadAngiogramd
from monai_lora_sam.coronary.transforms.polygons_to_mask import (
    PolygonsToMaskd,
    polygon_area,
    polygons_to_mask,
)
from monai_lora_sam.coronary.transforms.rand_angiogram_flip import RandAngiogramFlipd
from monai_lora_sam.coronary.transforms.rand_branch_contrast import RandBranchContrastd
from monai_lora_sam.coronary.transforms.rand_forget_view import RandForgetViewd
from monai_lora_sam.coronary.transforms.rand_implants import RandImplantsd
from monai_lora_sam.coronary.transforms.view_to_tensor import ViewToTensord

__all__ = [
    "AngiogramFlipd",
    "CheckLesionsd",
    "DecodeLesionsd",
    "LesionTargetsd",
    "LoadAngiogramd",
    "PolygonsToMaskd",
    "RandAngiogramFlipd",
    "RandBranchContrastd",
    "RandForgetViewd",
    "RandImplantsd",
    "ViewToTensord",
    "angiogram_augmentation",
    "flip_view",
    "polygon_area",
    "polygons_to_mask",
]
