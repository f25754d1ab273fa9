"""Image encoders behind one interface: LiteMedSAM, MobileSAM, SAM 3, SAM, SAM 3 in miniature, timm's backbones."""

from monai_lora_sam.encoders.base import ImageEncoder
from monai_lora_sam.encoders.build import build_encoder, weights_source
from monai_lora_sam.encoders.checkpoints import Checkpoint, open_checkpoint
from monai_lora_sam.encoders.fingerprint import weights_fingerprint
from monai_lora_sam.encoders.fused_attention import fused_attention
from monai_lora_sam.encoders.installed_file import DownloadedFile, InstalledFile
from monai_lora_sam.encoders.limits import build_checked
from monai_lora_sam.encoders.pretrained import load_encoder, save_encoder
from monai_lora_sam.encoders.quantise import dequantise_encoder, quantise_linear_layers
from monai_lora_sam.encoders.registry import ENCODERS, CheckpointForm, EncoderEntry
from monai_lora_sam.encoders.sam3_original import original_sam3_prefix, original_sam3_tensors

__all__ = [
    "ENCODERS",
    "Checkpoint",
    "CheckpointForm",
    "DownloadedFile",
    "EncoderEntry",
    "ImageEncoder",
    "build_checked",
    "InstalledFile",
    "build_encoder",
    "dequantise_encoder",
    "fused_attention",
    "load_encoder",
    "open_checkpoint",
    "original_sam3_prefix",
    "original_sam3_tensors",
    "quantise_linear_layers",
    "save_encoder",
    "weights_fingerprint",
    "weights_source",
]
