"""Segment files by boxes and points, or by a network that needs none: masks, a picture and a record."""

from monai_lora_sam.prompting.ask_image import (
    AnsweredQuestion,
    ask_files,
    ask_image,
    load_reasoning,
    write_answer,
)
from monai_lora_sam.prompting.draw_objects import draw_objects
from monai_lora_sam.prompting.find_objects import find_objects, find_objects_in_volume, to_square
from monai_lora_sam.prompting.load_automatic import load_automatic
from monai_lora_sam.prompting.load_promptable import load_promptable
from monai_lora_sam.prompting.object_prompt import ObjectPrompt, Unprompted, read_prompts
from monai_lora_sam.prompting.object_viewer import object_viewer
from monai_lora_sam.prompting.segment_files import segment_files
from monai_lora_sam.prompting.segment_image import (
    SegmentedObject,
    answer_prompt,
    encode_pixels,
    segment_image,
)
from monai_lora_sam.prompting.segment_volume import segment_volume
from monai_lora_sam.prompting.write_objects import made_by, write_objects, write_volume_objects

__all__ = [
    "AnsweredQuestion",
    "ask_files",
    "ask_image",
    "load_reasoning",
    "write_answer",
    "ObjectPrompt",
    "SegmentedObject",
    "Unprompted",
    "answer_prompt",
    "draw_objects",
    "encode_pixels",
    "find_objects",
    "find_objects_in_volume",
    "load_automatic",
    "load_promptable",
    "made_by",
    "object_viewer",
    "read_prompts",
    "segment_files",
    "segment_image",
    "segment_volume",
    "to_square",
    "write_objects",
    "write_volume_objects",
]
