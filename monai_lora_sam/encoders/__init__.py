"""Image encoders behind one interface: SAM 3, the first SAM, and SAM 3 in miniature."""

from monai_lora_sam.encoders.base import ImageEncoder
from monai_lora_sam.encoders.build import build_encoder
from monai_lora_sam.encoders.fingerprint import weights_fingerprint
from monai_lora_sam.encoders.limits import build_checked
from monai_lora_sam.encoders.pretrained import load_encoder, save_encoder
from monai_lora_sam.encoders.registry import ENCODERS, CheckpointForm, EncoderEntry

__all__ = [
    "ENCODERS",
    "CheckpointForm",
    "EncoderEntry",
    "ImageEncoder",
    "build_checked",
    "build_encoder",
    "load_encoder",
    "save_encoder",
    "weights_fingerprint",
]
