"""Predict the peak memory of a training or inference step before it runs."""

from monai_lora_sam.memory.advice import Change, advise, fits, largest_batch
from monai_lora_sam.memory.cards import CARDS, needed_gib, parse_gpu
from monai_lora_sam.memory.configuration import OPTIMISERS, StepConfiguration
from monai_lora_sam.memory.measure import Measurement, measure
from monai_lora_sam.memory.prediction import PARTS, Prediction, StepMemory, predict
from monai_lora_sam.memory.recommendation import Recommendation, as_markdown, recommend
from monai_lora_sam.memory.savings import Saving, compare_savings, savings_as_markdown

__all__ = [
    "CARDS",
    "Change",
    "Measurement",
    "OPTIMISERS",
    "PARTS",
    "Prediction",
    "Recommendation",
    "Saving",
    "StepConfiguration",
    "StepMemory",
    "advise",
    "as_markdown",
    "compare_savings",
    "fits",
    "largest_batch",
    "measure",
    "needed_gib",
    "parse_gpu",
    "predict",
    "recommend",
    "savings_as_markdown",
]
