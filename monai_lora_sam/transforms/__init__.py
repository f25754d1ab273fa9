"""Load colour pictures and labels, repeat channels, resize, normalise for an encoder, draw prompts from masks."""

from monai_lora_sam.transforms.draw_object_prompts import DrawObjectPromptsd
from monai_lora_sam.transforms.draw_phrases import DrawPhrasesd
from monai_lora_sam.transforms.draw_questions import DrawQuestionsd
from monai_lora_sam.transforms.grey_to_three_channels import GreyToThreeChannelsd
from monai_lora_sam.transforms.load_colour import LoadColourd
from monai_lora_sam.transforms.load_label import LoadLabeld
from monai_lora_sam.transforms.load_phrase_masks import LoadPhraseMasksd
from monai_lora_sam.transforms.meta_tensor import as_meta_tensor
from monai_lora_sam.transforms.normalize_for_encoder import NormalizeForEncoderd
from monai_lora_sam.transforms.resize_longest_side import ResizeLongestSided
from monai_lora_sam.transforms.sample_prompts import (
    background_points,
    centre_point,
    enlarged_box,
    jittered_box,
    next_click,
    protocol_points,
    random_points,
    shifted_box,
    tight_box,
)

__all__ = [
    "DrawQuestionsd",
    "DrawObjectPromptsd",
    "DrawPhrasesd",
    "GreyToThreeChannelsd",
    "LoadColourd",
    "LoadLabeld",
    "LoadPhraseMasksd",
    "NormalizeForEncoderd",
    "ResizeLongestSided",
    "as_meta_tensor",
    "background_points",
    "centre_point",
    "enlarged_box",
    "jittered_box",
    "next_click",
    "protocol_points",
    "random_points",
    "shifted_box",
    "tight_box",
]
