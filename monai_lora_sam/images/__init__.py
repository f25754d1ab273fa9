"""Read pictures, labels, DICOM frames and volumes; scale intensities to 0 to 1. No torch."""

from monai_lora_sam.images.colour_image import ColourImage, read_colour_image
from monai_lora_sam.images.dicom_files import (
    DICOM_DIRECTORY,
    looks_like_dicom,
    naming_file,
    read_dataset,
    read_header,
)
from monai_lora_sam.images.dicom_pixels import number_of_frames
from monai_lora_sam.images.dicom_tags import OptionalTags
from monai_lora_sam.images.frames import Frames, read_frames
from monai_lora_sam.images.image_files import detect_format, is_image_name
from monai_lora_sam.images.intensity_windows import (
    CT_WINDOWS,
    INTENSITY_PRESETS,
    parse_window,
    to_unit_by_percentiles,
    to_unit_by_preset,
    to_unit_by_window,
)
from monai_lora_sam.images.read_image import GreyImage, read_image
from monai_lora_sam.images.read_label import read_label
from monai_lora_sam.images.size_limits import MAXIMUM_PIXELS, MAXIMUM_VOXELS
from monai_lora_sam.images.volume import Volume, is_volume, read_label_volume, read_volume, write_label_volume

__all__ = [
    "CT_WINDOWS",
    "DICOM_DIRECTORY",
    "INTENSITY_PRESETS",
    "MAXIMUM_PIXELS",
    "ColourImage",
    "MAXIMUM_VOXELS",
    "Frames",
    "GreyImage",
    "OptionalTags",
    "Volume",
    "detect_format",
    "is_image_name",
    "is_volume",
    "looks_like_dicom",
    "naming_file",
    "number_of_frames",
    "parse_window",
    "read_colour_image",
    "read_dataset",
    "read_frames",
    "read_header",
    "read_image",
    "read_label",
    "read_label_volume",
    "read_volume",
    "to_unit_by_percentiles",
    "to_unit_by_preset",
    "to_unit_by_window",
    "write_label_volume",
]
