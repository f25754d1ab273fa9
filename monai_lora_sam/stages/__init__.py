"""A trained stage on disk: adapter, head and card in one folder, without the base."""

from monai_lora_sam.stages.find_stage import SHIPPED_ADAPTERS, find_parents, find_stage, installed_folders
from monai_lora_sam.stages.stage import head_type, load_stage, new_stage, read_stage_card, save_stage
from monai_lora_sam.stages.standalone import load_network, save_network

__all__ = [
    "SHIPPED_ADAPTERS",
    "find_parents",
    "find_stage",
    "head_type",
    "installed_folders",
    "load_network",
    "load_stage",
    "new_stage",
    "read_stage_card",
    "save_network",
    "save_stage",
]
