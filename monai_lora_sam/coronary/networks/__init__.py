"""Networks of the coronary stages: lesions, view angles, the lumen at the angiogram's own size."""

from monai_lora_sam.coronary.networks.decode_lesions import (
    LESION_COLUMNS,
    decode_lesions,
    rows_to_lesions,
)
from monai_lora_sam.coronary.networks.diameter_network import DiameterNetwork
from monai_lora_sam.coronary.networks.lesion_detector import LESIONS, LesionDetector, build_detector
from monai_lora_sam.coronary.networks.lesion_head import LesionHead
from monai_lora_sam.coronary.networks.lumen_refiner import LumenRefiner
from monai_lora_sam.coronary.networks.view_angle_encoder import ViewAngleEncoder, ViewConditioning
from monai_lora_sam.coronary.networks.view_segmentation_head import VIEW_SEGMENTATION, ViewSegmentationHead

__all__ = [
    "LESIONS",
    "LESION_COLUMNS",
    "LesionDetector",
    "LesionHead",
    "DiameterNetwork",
    "LumenRefiner",
    "VIEW_SEGMENTATION",
    "ViewAngleEncoder",
    "ViewConditioning",
    "ViewSegmentationHead",
    "build_detector",
    "decode_lesions",
    "rows_to_lesions",
]
