"""Write a trained stage in forms that run without this package: ONNX, torch.export, a zipped MONAI bundle."""

from monai_lora_sam.export.describe import METADATA_KEY, describe
from monai_lora_sam.export.export_stage import FORMATS, export_stage
from monai_lora_sam.export.parts import ExportPart, export_parts
from monai_lora_sam.export.quantise_onnx import quantise_onnx

__all__ = [
    "FORMATS",
    "METADATA_KEY",
    "ExportPart",
    "describe",
    "export_parts",
    "export_stage",
    "quantise_onnx",
]
