"""MONAI dictionary transforms: load labels, repeat channels, resize, normalise for an encoder."""

from monai_lora_sam.transforms.grey_to_three_channels import GreyToThreeChannelsd
from monai_lora_sam.transforms.load_label import LoadLabeld
from monai_lora_sam.transforms.meta_tensor import as_meta_tensor
from monai_lora_sam.transforms.normalize_for_encoder import NormalizeForEncoderd
from monai_lora_sam.transforms.resize_longest_side import ResizeLongestSided

__all__ = [
    "GreyToThreeChannelsd",
    "LoadLabeld",
    "NormalizeForEncoderd",
    "ResizeLongestSided",
    "as_meta_tensor",
]
