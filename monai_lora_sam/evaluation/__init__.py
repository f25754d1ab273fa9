"""Score promptable networks on data sets by published protocols."""

from monai_lora_sam.evaluation.evaluate_prompts import (
    FIELDS,
    PromptedEvaluation,
    evaluate_prompts,
    mask_file,
    read_scores,
)
from monai_lora_sam.evaluation.labelled_objects import SMALLEST_OBJECT, LabelledObject, labelled_objects
from monai_lora_sam.evaluation.prompt_modes import (
    CHOICE_TITLES,
    CHOICES,
    CLICK_MODES,
    MODES,
    PROMPT_MODES,
    SHIFT,
    Answer,
    Prompts,
    answers,
)
from monai_lora_sam.evaluation.prompted_page import write_prompted_page
from monai_lora_sam.evaluation.summarise import summarise

__all__ = [
    "Answer",
    "CHOICES",
    "CHOICE_TITLES",
    "CLICK_MODES",
    "FIELDS",
    "LabelledObject",
    "MODES",
    "PROMPT_MODES",
    "PromptedEvaluation",
    "Prompts",
    "SHIFT",
    "SMALLEST_OBJECT",
    "answers",
    "evaluate_prompts",
    "labelled_objects",
    "mask_file",
    "read_scores",
    "summarise",
    "write_prompted_page",
]
