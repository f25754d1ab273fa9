"""Heads, and the networks composed of encoder, adapters and head."""

from monai_lora_sam.networks.adapted_segmenter import SEGMENTATION, AdaptedSegmenter, build_segmenter
from monai_lora_sam.networks.averaged_network import averaged_network
from monai_lora_sam.networks.build_text_segmenter import build_text_segmenter
from monai_lora_sam.networks.check_prompts import check_prompts
from monai_lora_sam.networks.concept_head import ConceptHead, new_detector
from monai_lora_sam.networks.device import choose_device
from monai_lora_sam.networks.feature_identity import feature_identity
from monai_lora_sam.networks.heads import HEADS, HeadEntry, build_head, head_card
from monai_lora_sam.networks.mixed_precision import autocast
from monai_lora_sam.networks.phrases import MOST_PHRASES, check_phrases
from monai_lora_sam.networks.prompt_head import PromptHead
from monai_lora_sam.networks.prompt_weights import DecoderSource, open_prompt_weights
from monai_lora_sam.networks.promptable_segmenter import (
    PROMPTS,
    ImageEmbedding,
    PromptableSegmenter,
    PromptedMasks,
    build_promptable,
)
from monai_lora_sam.networks.reasoning import (
    LANGUAGE_MODELS,
    LANGUAGE_PRESETS,
    MOST_CHARACTERS,
    REASONING,
    SEG,
    Answer,
    Conversation,
    LanguageModel,
    ReasoningHead,
    ReasoningSegmenter,
    check_question,
    open_language_model,
)
from monai_lora_sam.networks.segmentation_head import LEVEL_DEVIATION, ConvBlock, SegmentationHead, resize_to
from monai_lora_sam.networks.stage_network import StageNetwork
from monai_lora_sam.networks.text_encoder import TextEncoder
from monai_lora_sam.networks.text_head import TextPromptHead
from monai_lora_sam.networks.text_prompted_segmenter import TEXT, TextPromptedSegmenter
from monai_lora_sam.networks.text_segmenter import (
    CONCEPTS,
    ConceptEmbedding,
    PhraseInstances,
    TextSegmenter,
)
from monai_lora_sam.networks.trainable_state import TrainableState
from monai_lora_sam.networks.unet_head import UNET, UNetHead

__all__ = [
    "CONCEPTS",
    "HEADS",
    "LANGUAGE_MODELS",
    "LANGUAGE_PRESETS",
    "LEVEL_DEVIATION",
    "MOST_CHARACTERS",
    "PROMPTS",
    "REASONING",
    "SEG",
    "SEGMENTATION",
    "AdaptedSegmenter",
    "Answer",
    "ConceptEmbedding",
    "ConceptHead",
    "ConvBlock",
    "Conversation",
    "DecoderSource",
    "HeadEntry",
    "ImageEmbedding",
    "LanguageModel",
    "MOST_PHRASES",
    "PhraseInstances",
    "PromptHead",
    "PromptableSegmenter",
    "PromptedMasks",
    "ReasoningHead",
    "ReasoningSegmenter",
    "SegmentationHead",
    "StageNetwork",
    "TEXT",
    "TextEncoder",
    "TextPromptHead",
    "TextPromptedSegmenter",
    "TextSegmenter",
    "TrainableState",
    "UNET",
    "UNetHead",
    "autocast",
    "averaged_network",
    "build_head",
    "build_promptable",
    "build_segmenter",
    "build_text_segmenter",
    "check_phrases",
    "check_prompts",
    "check_question",
    "choose_device",
    "feature_identity",
    "head_card",
    "new_detector",
    "open_language_model",
    "open_prompt_weights",
    "resize_to",
]
