"""A trained stage on disk: adapter, head and card in one folder, without the base."""

from monai_lora_sam.stages.stage import load_stage, new_stage, read_stage_card, save_stage

__all__ = ["load_stage", "new_stage", "read_stage_card", "save_stage"]
