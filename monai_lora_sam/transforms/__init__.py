"""MONAI dictionary transforms for angiograms; what reads files without them, of `images`, is offered here as well."""

from monai_lora_sam.images import (
    SPACING_SOURCES,
    Angiogram,
    Cine,
    CineFrames,
    PixelSpacing,
    is_image_name,
    read_angiogram,
    read_cine,
    read_dataset,
    read_label,
)
from monai_lora_sam.transforms.angiogram_augmentation import angiogram_augmentation
from monai_lora_sam.transforms.angiogram_flip import AngiogramFlipd
from monai_lora_sam.transforms.check_lesions import CheckLesionsd
from monai_lora_sam.transforms.decode_lesions import DecodeLesionsd
from monai_lora_sam.transforms.grey_to_three_channels import GreyToThreeChannelsd
from monai_lora_sam.transforms.lesion_targets import LesionTargetsd
from monai_lora_sam.transforms.load_angiogram import LoadAngiogramd
from monai_lora_sam.transforms.load_label import LoadLabeld
from monai_lora_sam.transforms.normalize_for_encoder import NormalizeForEncoderd
from monai_lora_sam.transforms.polygons_to_mask import PolygonsToMaskd, polygon_area, polygons_to_mask
from monai_lora_sam.transforms.rand_angiogram_flip import RandAngiogramFlipd
from monai_lora_sam.transforms.rand_forget_view import RandForgetViewd
from monai_lora_sam.transforms.resize_longest_side import ResizeLongestSided
from monai_lora_sam.transforms.view_to_tensor import ViewToTensord

__all__ = [
    "Angiogram",
    "AngiogramFlipd",
    "Cine",
    "CineFrames",
    "CheckLesionsd",
    "DecodeLesionsd",
    "GreyToThreeChannelsd",
    "LesionTargetsd",
    "LoadAngiogramd",
    "LoadLabeld",
    "NormalizeForEncoderd",
    "PixelSpacing",
    "PolygonsToMaskd",
    "RandAngiogramFlipd",
    "RandForgetViewd",
    "ResizeLongestSided",
    "SPACING_SOURCES",
    "ViewToTensord",
    "angiogram_augmentation",
    "is_image_name",
    "polygon_area",
    "polygons_to_mask",
    "read_angiogram",
    "read_cine",
    "read_dataset",
    "read_label",
]
