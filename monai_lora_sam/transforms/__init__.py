"""MONAI dictionary transforms for angiograms."""

from monai_lora_sam.transforms.angiogram import Angiogram
from monai_lora_sam.transforms.angiogram_augmentation import angiogram_augmentation
from monai_lora_sam.transforms.angiogram_flip import AngiogramFlipd
from monai_lora_sam.transforms.check_lesions import CheckLesionsd
from monai_lora_sam.transforms.cine import Cine, CineFrames, read_cine
from monai_lora_sam.transforms.decode_lesions import DecodeLesionsd
from monai_lora_sam.transforms.dicom_acquisition import SPACING_SOURCES, PixelSpacing
from monai_lora_sam.transforms.dicom_files import read_dataset
from monai_lora_sam.transforms.grey_to_three_channels import GreyToThreeChannelsd
from monai_lora_sam.transforms.image_files import is_image_name
from monai_lora_sam.transforms.lesion_targets import LesionTargetsd
from monai_lora_sam.transforms.load_angiogram import LoadAngiogramd
from monai_lora_sam.transforms.load_label import LoadLabeld, read_label
from monai_lora_sam.transforms.normalize_for_encoder import NormalizeForEncoderd
from monai_lora_sam.transforms.polygons_to_mask import PolygonsToMaskd, polygon_area, polygons_to_mask
from monai_lora_sam.transforms.rand_angiogram_flip import RandAngiogramFlipd
from monai_lora_sam.transforms.rand_forget_view import RandForgetViewd
from monai_lora_sam.transforms.read_angiogram import read_angiogram
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
